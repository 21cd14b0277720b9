"""Reads query parameters and bodies of requests to the identity face."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import falcon
from oslo_config import cfg

from api import bodies, paging
from api.core.identity.rows import not_found
from hostler import errors, ids
from hostler.query.expressions import EVERYTHING, And, Compare, Expression, Operator
from hostler.query.paging import Query

_COMPARATORS = {
    "contains": Operator.CONTAINS, "icontains": Operator.ICONTAINS, "startswith": Operator.STARTS,
    "istartswith": Operator.ISTARTS, "endswith": Operator.ENDS, "iendswith": Operator.IENDS}
_SECRET_KEYS = frozenset({"password", "original_password", "secret", "adminPass"})


def text(request: falcon.Request, name: str) -> str | None:
    """Return a query parameter; raises InvalidField for text no name can hold."""
    value = request.get_param(name)
    if value is not None and ("\x00" in value or len(value) > 255):
        raise errors.InvalidField(field=name, value=repr(value[:80]), reason="It is too long or holds a zero byte.")
    return value


def identifier(request: falcon.Request, name: str) -> str | None:
    """Return a query parameter that is an id, in canonical form."""
    value = text(request, name)
    return (ids.canonical(value) or value) if value is not None else None


def flag(request: falcon.Request, name: str) -> bool:
    """Return whether a parameter is present and not false."""
    value = request.get_param(name)
    return value is not None and value.lower() not in ("0", "false", "no", "off", "none")


def listing(request: falcon.Request, conf: cfg.ConfigOpts, *filters: str, beside: Expression = EVERYTHING,
            **renamed: str) -> Query:
    """Return what a list asks for: equal values of its `filters`, parts of texts as in `name__contains`, and `beside`.

    `renamed` filters say which field they name. Unknown filters are passed over, as in the reference.
    """
    fields = {**dict(zip(filters, filters, strict=True)), **renamed}
    asked: list[Expression] = [beside]
    for name, field in fields.items():
        if request.has_param(name):
            value = flag(request, name) if field == "enabled" else text(request, name)
            asked.append(Compare(field, Operator.EQ, value))
        asked += [Compare(field, how, part) for word, how in _COMPARATORS.items()
                  if field != "enabled" and (part := text(request, f"{name}__{word}"))]
    limit = paging.limit_of(request, conf.api.max_limit)
    return Query(where=And(tuple(asked)), sort=(("name", False),), limit=limit or conf.api.max_limit,
                 marker=text(request, "marker"), missing=lambda marker: not_found("marker", marker))


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
