"""Request schemas that differ by microversion: rows of properties with spans, compiled once for each version.

>>> Body("server", [Property("name", NAME), Property("tags", TAGS, since(52))]).check((2, 52), body)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import falcon

from api import bodies
from api.microversions import ALWAYS, Span, Version
from hostler import errors

BOOLEAN = {"enum": [True, False, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t",
                    "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"]}
UUID = {"type": "string", "pattern": "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"}


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
    """A body `{name: {properties}}`, with optional members beside it.

    Unknown members are refused in the versions `strict`, and passed over in others.
    """

    name: str
    properties: tuple[Property, ...]
    beside: tuple[Property, ...] = ()
    min_properties: int = 0
    strict: Span = ALWAYS

    def check(self, version: Version, body: Any) -> dict[str, Any]:
        """Return the members that this version knows of the inner map; raises InvalidField at what is wrong."""
        _compiled(self, version)(body)
        inner: dict[str, Any] = body[self.name]
        if version in self.strict:
            return inner
        known = {row.name for row in self.properties if version in row.span}
        return {name: value for name, value in inner.items() if name in known}

    def read(self, request: falcon.Request) -> dict[str, Any]:
        """Read and check a request's body; return the inner map."""
        return self.check(request.context.version, bodies.read_json(request))


def members(rows: Iterable[Property], version: Version, minimum: int = 0, *, strict: bool = True) -> dict[str, Any]:
    """Return the object schema of the rows that exist in `version`."""
    present = [row for row in rows if version in row.span]
    schema: dict[str, Any] = {
        "type": "object", "additionalProperties": not strict,
        "properties": {row.name: row.schema for row in present},
        "required": [row.name for row in present if row.required is not None and version in row.required]}
    return {**schema, "minProperties": minimum} if minimum else schema


_CACHE: dict[tuple[int, Version], tuple[Body, bodies.Validator]] = {}


def _compiled(body: Body, version: Version) -> bodies.Validator:
    key = (id(body), version)
    if key not in _CACHE:
        outer = members(body.beside, version)
        outer["properties"][body.name] = members(body.properties, version, body.min_properties,
                                                 strict=version in body.strict)
        outer["required"].append(body.name)
        _CACHE[key] = (body, bodies.compile_schema(outer))
    return _CACHE[key][1]
