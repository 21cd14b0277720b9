"""Building libvirt's XML."""

from __future__ import annotations

from typing import Any

from lxml import etree


def add(parent: Any, tag: str, text: str | None = None, **attributes: str) -> Any:
    """Add an element and return it."""
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element
