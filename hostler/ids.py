"""Identifiers: UUIDv4, kept with hyphens; both spellings are accepted everywhere, each face prints its own."""

from __future__ import annotations

import re
import uuid

_BARE = re.compile(r"[0-9a-f]{32}")
_HYPHENED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_id() -> str:
    """Return a fresh UUIDv4 with hyphens."""
    return str(uuid.uuid4())


def canonical(text: str) -> str | None:
    """Return `text` as a hyphened lower-case id, or None when it is not a UUID in either spelling."""
    lowered = text.lower()
    if _HYPHENED.fullmatch(lowered):
        return lowered
    if _BARE.fullmatch(lowered):
        return f"{lowered[:8]}-{lowered[8:12]}-{lowered[12:16]}-{lowered[16:20]}-{lowered[20:]}"
    return None


def bare(identifier: str) -> str:
    """Return the 32 hexadecimal digits of an id (how identity and the native face print it)."""
    return identifier.replace("-", "")
