"""Compares a body with a JSON schema, and says in one line where they differ."""

from __future__ import annotations

import datetime as dt
import ipaddress
import urllib.parse
import uuid
from collections.abc import Mapping
from typing import Any

import jsonschema

_FORMATS = jsonschema.FormatChecker()


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(dt.datetime.fromisoformat(value))


@_FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or bool(uuid.UUID(value))


@_FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or all(urllib.parse.urlsplit(value)[:2])


@_FORMATS.checks("cidr", raises=ValueError)
def _is_cidr(value: object) -> bool:
    return not isinstance(value, str) or bool(ipaddress.ip_interface(value))


def closed(schema: Any) -> Any:
    """Return `schema` with unknown members refused wherever it lists members and says nothing of others."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    shut = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), Mapping) and "type" in schema:
        shut.setdefault("additionalProperties", False)
    return shut


class Schema:
    """A schema, compiled."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._validator = jsonschema.Draft202012Validator(closed(schema), format_checker=_FORMATS)

    def problem(self, body: Any) -> str | None:
        """Return where and how `body` differs, or None."""
        if self._validator.is_valid(body):
            return None
        error = jsonschema.exceptions.best_match(self._validator.iter_errors(body))
        where = ".".join(str(part) for part in error.absolute_path) or "the body"
        return f"{where}: {error.message[:300]}"
