"""Query parameters by microversion, pages, and what every handler reads from its request."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import falcon
from oslo_config import cfg

from api import links, paging
from api.openstack.compute.microversion import ALWAYS, Span, Version, since
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.query import fields as query_fields
from hostler.query.paging import Query

PREFIX = "/compute"
ROOT = "/v2.1"
_INTEGER = re.compile(r"[+-]?[0-9]+")
# Since then lists refuse parameters they do not know.
STRICT: Version = (2, 75)
_MULTIATTACH: Span = since(60)
PAGE: tuple[str, ...] = ("limit", "marker")
_SLICE: Mapping[str, Span] = {"limit": ALWAYS, "offset": ALWAYS}


def caller(request: falcon.Request) -> RequestContext:
    """Return who asks; raises Forbidden for a token without a project."""
    context: RequestContext = request.context.caller
    if context.project_id is None:
        raise errors.Forbidden("The token must be scoped to a project.", action="compute")
    return context


def base_of(conf: cfg.ConfigOpts, request: falcon.Request) -> str:
    """Return the URL of this face, without a slash at its end."""
    return links.base_url(conf, request) + PREFIX


def read(request: falcon.Request, known: Mapping[str, Span], *,
         strict: Version | None = STRICT) -> dict[str, list[str]]:
    """Return the known parameters, each with all its values.

    Unknown ones are ignored before the version `strict` (None: always) and refused from then on.
    """
    version = request.context.version
    found: dict[str, list[str]] = {}
    for name, value in request.params.items():
        if name in known and version in known[name]:
            found[name] = value if isinstance(value, list) else [value]
        elif strict is not None and version >= strict:
            raise errors.Invalid(reason=f"Invalid input for query parameters {name}. Additional properties are not "
                                        f"allowed ('{name}' was unexpected)")
    return found


def one(found: Mapping[str, Sequence[str]], name: str) -> str | None:
    """Return the last value of a parameter, or None."""
    values = found.get(name)
    return values[-1] if values else None


def number(found: Mapping[str, Sequence[str]], name: str, default: int = 0) -> int:
    """Return a whole number ≥ 0; raises InvalidField."""
    text = one(found, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise errors.InvalidField(field=name, value=text[:80], reason="It must be a whole number.")
    return int(text)


def multiattach_refusal(version: Version) -> str | None:
    """Return why this version may not use multiattach volumes; None when it may."""
    known = version in _MULTIATTACH
    return None if known else "Multiattach volumes are only supported starting with compute API version 2.60."


def integer_id(text: str) -> int:
    """Return the number of an id in a path; one too large to exist becomes 0. Raises Invalid for other text."""
    if not _INTEGER.fullmatch(text):
        raise errors.Invalid(reason=f"id must be an integer: {text[:80]}")
    return int(text) if len(text) <= 9 else 0


def truth(name: str, text: str) -> bool:
    """Return the value of a boolean parameter; empty is false. Raises InvalidField."""
    return text.strip() != "" and query_fields.truth(name, text)


def page_of(request: falcon.Request, conf: cfg.ConfigOpts, *, sortable: Mapping[str, str] | None = None,
            default: Sequence[tuple[str, bool]] = (), ignored: Collection[str] = (), paged: bool = True,
            **more: Any) -> Query:
    """Return the page asked for, by published sort keys and the fields they name; `more` are further parts of a query.

    Raises InvalidField for a sort key or direction that is not known; `ignored` keys are passed over. A list that is
    not `paged` in the request's version has neither limit nor marker.
    """
    keys = request.get_param_as_list("sort_key") or [] if sortable else []
    directions = [paging.descending(text) for text in request.get_param_as_list("sort_dir") or [] if sortable]
    first = directions[0] if directions else bool(default and default[0][1])
    sort = [(paging.field_of(key, sortable or {}), directions[index] if index < len(directions) else first)
            for index, key in enumerate(keys) if key not in ignored]
    named = {name for name, _ in sort}
    sort += [(name, first if keys or directions else descending) for name, descending in default if name not in named]
    if not paged:
        return Query(limit=conf.api.max_limit, sort=tuple(sort), **more)
    return Query(limit=paging.limit_of(request, conf.api.max_limit), marker=request.get_param("marker") or None,
                 sort=tuple(sort), **more)


def slice_of(request: falcon.Request, conf: cfg.ConfigOpts, **more: Any) -> Query:
    """Return the query of a list without markers: `limit` rows (0: as many as a page may have) after `offset`."""
    found, maximum = read(request, _SLICE, strict=None), conf.api.max_limit
    return Query(limit=min(number(found, "limit") or maximum, maximum), offset=number(found, "offset"), **more)


def project_of(text: str) -> str:
    """Return a project id in canonical form; non-UUIDs are returned unchanged and match nothing."""
    return ids.canonical(text) or text


def page_links(request: falcon.Request, conf: cfg.ConfigOpts, path: str, marker: str) -> list[dict[str, Any]]:
    """Return the `*_links` member that leads to the page after `marker`."""
    return [{"rel": "next", "href": paging.next_link(request, f"{base_of(conf, request)}{ROOT}{path}", marker)}]
