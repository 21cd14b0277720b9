"""Schemas of what the Compute API's bodies are made of."""

from __future__ import annotations

import functools
import ipaddress
from typing import Any

import falcon

from api import bodies, names
from api.versioned_bodies import BOOLEAN, UUID, Body, Property, members, number_in, truth, whole_number

__all__ = [
    "ADDRESS", "BOOLEAN", "DESCRIPTION", "FQDN", "HOST", "HOSTNAME", "METADATA", "NAME", "NAME_OR_NULL", "NULL",
    "SIMPLE", "TAG", "TAGS", "UUID", "Body", "Property", "members", "number_in", "read_simple", "simple", "truth",
    "whole_number",
]

# No control characters; not blank; no white space at either end.
NAME = {"type": "string", "minLength": 1, "maxLength": 255,
        "pattern": r"^[^\x00-\x20\x7f\xa0]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f\xa0])?$"}
NAME_OR_NULL = {**NAME, "type": ["string", "null"]}
DESCRIPTION = {"type": ["string", "null"], "maxLength": 255, "pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"}
# Keys, specs and tags become the last part of a path.
_KEY = rf"^{names.SAFE}[a-zA-Z0-9-_:. ]{{1,255}}$"
METADATA = {"type": "object", "propertyNames": {"pattern": _KEY},
            "additionalProperties": {"type": "string", "maxLength": 255}}
TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": f"^{names.SAFE}[^,/]*$"}
TAGS = {"type": "array", "items": TAG, "maxItems": 50}
ADDRESS = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
HOST = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9_.-]*$"}
HOSTNAME = {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$"}
FQDN = {"type": "string", "minLength": 1, "maxLength": 255,
        "pattern": "^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"}
NULL: dict[str, Any] = {}


@functools.cache
def canonical_address(text: str | None) -> str | None:
    """Return an address as RFC 5952 spells it, None for an empty one."""
    return str(ipaddress.ip_address(text)) if text else None


def simple(name: str, schema_name: str) -> bodies.Validator:
    """Return the validator of `{name: <one of SIMPLE>}`."""
    return bodies.compile_schema({"type": "object", "additionalProperties": False, "required": [name],
                                  "properties": {name: SIMPLE[schema_name]}})


SIMPLE: dict[str, dict[str, Any]] = {
    "metadata": METADATA, "tags": TAGS, "anything": NULL,
    "extra_specs": {"type": "object", "propertyNames": {"pattern": _KEY},
                    "additionalProperties": {"anyOf": [{"type": "string", "maxLength": 255}, {"type": "number"}]}},
}


def read_simple(request: falcon.Request, name: str, schema_name: str) -> Any:
    """Read `{name: value}`; return the value."""
    body = bodies.read_json(request)
    simple(name, schema_name)(body)
    return body[name]
