"""What a back end says of itself, and what is said of every one: the names that extra specs of volume types may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

VENDOR: Final = "Hostler"


def stated(name: str, capabilities: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the capabilities of the back end `name`, which a type's extra specs are compared with."""
    return {"vendor_name": VENDOR, "pool_name": name, "volume_backend_name": name, **(capabilities or {})}
