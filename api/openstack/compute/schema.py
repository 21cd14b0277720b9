"""Request schemas that differ by microversion: rows of properties with spans, compiled once for each version.

>>> Body("server", [Property("name", NAME), Property("tags", TAGS, since(52))]).check((2, 52), body)
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import falcon

from api import bodies
from api.openstack.compute.microversion import ALWAYS, Span, Version
from hostler import errors

# No control characters; not blank; no white space at either end.
NAME = {"type": "string", "minLength": 1, "maxLength": 255,
        "pattern": r"^[^\x00-\x20\x7f\xa0]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f\xa0])?$"}
NAME_OR_NULL = {**NAME, "type": ["string", "null"]}
DESCRIPTION = {"type": ["string", "null"], "maxLength": 255, "pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"}
BOOLEAN = {"enum": [True, False, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t",
                    "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"]}
UUID = {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"}
METADATA = {"type": "object", "propertyNames": {"pattern": "^[a-zA-Z0-9-_:. ]{1,255}$"},
            "additionalProperties": {"type": "string", "maxLength": 255}}
TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
TAGS = {"type": "array", "items": TAG, "maxItems": 50}
ADDRESS = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
HOST = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9_.-]*$"}
HOSTNAME = {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$"}
FQDN = {"type": "string", "minLength": 1, "maxLength": 255,
        "pattern": "^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"}
NULL: dict[str, Any] = {}


def whole_number(minimum: int = 0, maximum: int = 2147483647) -> dict[str, Any]:
    """Return the schema of a whole number, also spelt as text (the published API takes both)."""
    return {"anyOf": [{"type": "integer", "minimum": minimum, "maximum": maximum},
                      {"type": "string", "pattern": "^-?[0-9]{1,10}$"}]}


def number_in(body: Mapping[str, Any], key: str, default: int, minimum: int = 0, maximum: int = 2147483647) -> int:
    """Return a `whole_number` member; raises InvalidField outside the bounds (as text they are not in the schema)."""
    value = body.get(key)
    if value is None:
        return default
    number = int(value)
    if not minimum <= number <= maximum:
        raise errors.InvalidField(field=key, value=str(value)[:80],
                                  reason=f"It must be between {minimum} and {maximum}.")
    return number


def truth(value: Any) -> bool:
    """Return what a BOOLEAN value means."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1", "on", "yes", "y", "t"))


@dataclasses.dataclass(frozen=True)
class Property:
    """One member of a body, the versions that know it, and those that require it."""

    name: str
    schema: Mapping[str, Any]
    span: Span = ALWAYS
    required: Span | None = None


@dataclasses.dataclass(frozen=True)
class Body:
    """A body `{name: {properties}}`, with optional members beside it; unknown members are refused."""

    name: str
    properties: tuple[Property, ...]
    beside: tuple[Property, ...] = ()
    min_properties: int = 0

    def check(self, version: Version, body: Any) -> dict[str, Any]:
        """Return the inner map; raises InvalidField at what is wrong."""
        _compiled(self, version)(body)
        inner: dict[str, Any] = body[self.name]
        return inner

    def read(self, request: falcon.Request) -> dict[str, Any]:
        """Read and check a request's body; return the inner map."""
        return self.check(request.context.version, bodies.read_json(request))


def members(rows: Iterable[Property], version: Version, minimum: int = 0) -> dict[str, Any]:
    """Return the object schema of the rows that exist in `version`."""
    present = [row for row in rows if version in row.span]
    schema: dict[str, Any] = {
        "type": "object", "additionalProperties": False,
        "properties": {row.name: row.schema for row in present},
        "required": [row.name for row in present if row.required is not None and version in row.required]}
    return {**schema, "minProperties": minimum} if minimum else schema


_CACHE: dict[tuple[int, Version], tuple[Body, bodies.Validator]] = {}


def _compiled(body: Body, version: Version) -> bodies.Validator:
    key = (id(body), version)
    if key not in _CACHE:
        outer = members(body.beside, version)
        outer["properties"][body.name] = members(body.properties, version, body.min_properties)
        outer["required"].append(body.name)
        _CACHE[key] = (body, bodies.compile_schema(outer))
    return _CACHE[key][1]


@functools.cache
def simple(name: str, schema_name: str) -> bodies.Validator:
    """Return the validator of `{name: <one of SIMPLE>}`."""
    return bodies.compile_schema({"type": "object", "additionalProperties": False, "required": [name],
                                  "properties": {name: SIMPLE[schema_name]}})


SIMPLE: dict[str, dict[str, Any]] = {
    "metadata": METADATA, "tags": TAGS, "anything": NULL,
    "extra_specs": {"type": "object", "propertyNames": {"pattern": "^[a-zA-Z0-9-_:. ]{1,255}$"},
                    "additionalProperties": {"anyOf": [{"type": "string", "maxLength": 255}, {"type": "number"}]}},
}


def read_simple(request: falcon.Request, name: str, schema_name: str) -> Any:
    """Read `{name: value}`; return the value."""
    body = bodies.read_json(request)
    simple(name, schema_name)(body)
    return body[name]
