"""Schemas of what the Block Storage API's bodies are made of."""

from __future__ import annotations

from typing import Any, Final

from api import names
from api.versioned_bodies import BOOLEAN, UUID, Body, Property, members, number_in, truth, whole_number

__all__ = ["BOOLEAN", "DESCRIPTION", "EXTRA_SPECS", "ID_OR_NULL", "METADATA", "NAME", "NAME_OR_NULL", "TEXT", "UUID",
           "Body", "Property", "members", "number_in", "trimmed", "truth", "whole_number"]

_NO_NUL: Final = r"^[^\x00]*$"
TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": _NO_NUL}
NAME: Final[dict[str, Any]] = {**TEXT, "pattern": r"^[^\x00]*[^\x00\s][^\x00]*$"}
NAME_OR_NULL: Final[dict[str, Any]] = {"type": ["string", "null"], "maxLength": 255, "pattern": _NO_NUL}
DESCRIPTION: Final[dict[str, Any]] = NAME_OR_NULL
ID_OR_NULL: Final[dict[str, Any]] = {"anyOf": [UUID, {"type": "null"}]}
_KEY: Final = rf"^{names.SAFE}[a-zA-Z0-9-_:. /]{{1,255}}$"
METADATA: Final[dict[str, Any]] = {
    "type": "object", "propertyNames": {"pattern": _KEY},
    "additionalProperties": {"type": "string", "maxLength": 255, "pattern": _NO_NUL}}
EXTRA_SPECS: Final[dict[str, Any]] = {
    "type": "object", "propertyNames": {"pattern": rf"^{names.SAFE}[a-zA-Z0-9-_:. ]{{1,255}}$"},
    "additionalProperties": {"type": ["string", "null"], "maxLength": 255, "pattern": _NO_NUL}}


def trimmed(text: str | None) -> str:
    """Return a name or description without white space at its ends; null is empty."""
    return (text or "").strip()
