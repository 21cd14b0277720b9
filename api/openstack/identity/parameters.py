"""Reading what a request to the identity face says: query parameters and bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import falcon
from oslo_config import cfg

from api import bodies, paging
from api.core.identity.rows import Listing
from hostler import errors, ids

_NAME_OPERATORS = {
    "name__contains": "contains", "name__icontains": "icontains", "name__startswith": "startswith",
    "name__istartswith": "istartswith", "name__endswith": "endswith", "name__iendswith": "iendswith",
}
_SECRET_KEYS = frozenset({"password", "original_password", "secret", "adminPass"})


def text(request: falcon.Request, name: str) -> str | None:
    """Return a query parameter; raises InvalidField for text no name can hold."""
    value = request.get_param(name)
    if value is not None and ("\x00" in value or len(value) > 255):
        raise errors.InvalidField(field=name, value=repr(value[:80]), reason="It is too long or holds a zero byte.")
    return value


def identifier(request: falcon.Request, name: str) -> str | None:
    """Return a query parameter that is an id, in the inside spelling."""
    value = text(request, name)
    return (ids.canonical(value) or value) if value is not None else None


def flag(request: falcon.Request, name: str) -> bool:
    """Return whether a parameter is present and not false."""
    value = request.get_param(name)
    return value is not None and value.lower() not in ("0", "false", "no", "off", "none")


def listing(request: falcon.Request, conf: cfg.ConfigOpts, *columns: str) -> Listing:
    """Return what a list asks for; `columns` may be filtered by equality (`enabled` by truth, ids in any spelling)."""
    equal: dict[str, Any] = {}
    for column in columns:
        if column == "enabled" and request.has_param("enabled"):
            equal[column] = flag(request, column)
        elif column.endswith("_id") and request.has_param(column):
            equal[column] = identifier(request, column)
        elif request.has_param(column):
            equal[column] = text(request, column)
    like = {operator: value for name, operator in _NAME_OPERATORS.items() if (value := text(request, name))}
    limit = paging.limit_of(request, conf.api.max_limit)
    return Listing(equal=equal, name_like=like, limit=limit or conf.api.max_limit, marker=text(request, "marker"))


def body(request: falcon.Request, conf: cfg.ConfigOpts, validate: bodies.Validator) -> Any:
    """Return the body after validating it; an error never repeats a password."""
    content = bodies.read_json(request, conf.api.max_body_bytes)
    try:
        validate(content)
    except errors.InvalidField as error:
        said = str(error)
        if any(secret in said for secret in _secrets(content)):
            raise errors.InvalidField(field=error.fields["field"], value="(hidden)",
                                      reason="It does not fit this request's schema.") from None
        raise
    return content


def _secrets(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key in _SECRET_KEYS and not isinstance(value, dict):
                yield str(value)
            else:
                yield from _secrets(value)
    elif isinstance(content, list):
        for item in content:
            yield from _secrets(item)
