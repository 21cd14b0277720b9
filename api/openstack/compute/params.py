"""Query parameters by microversion, pages, and what every handler asks of its request."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import falcon
from oslo_config import cfg

from api import links, paging
from api.openstack.compute.microversion import Span, Version, since
from hostler import errors, ids
from hostler.context import RequestContext

PREFIX = "/compute"
ROOT = "/v2.1"
_INTEGER = re.compile(r"[+-]?[0-9]+")
# Since then lists refuse parameters they do not know.
STRICT: Version = (2, 75)
_MULTIATTACH: Span = since(60)
PAGE: tuple[str, ...] = ("limit", "marker")


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
    """Return why a request in this version gets no volume that several servers may have; None when it does."""
    known = version in _MULTIATTACH
    return None if known else "Multiattach volumes are only supported starting with compute API version 2.60."


def integer_id(text: str) -> int:
    """Return the number that an id in a path is; one past every id finds nothing. Raises Invalid for other text."""
    if not _INTEGER.fullmatch(text):
        raise errors.Invalid(reason=f"id must be an integer: {text[:80]}")
    return int(text) if len(text) <= 9 else 0


def page_of(request: falcon.Request, conf: cfg.ConfigOpts, *, sortable: Collection[str],
            default: Sequence[tuple[str, bool]], tie: str, ignored: Collection[str] = ()) -> paging.Page:
    """Return the page asked for; `tie` is the unique key that ends every order.

    Raises InvalidField for a sort key or direction that is not known; `ignored` keys are passed over.
    """
    keys = request.get_param_as_list("sort_key") or []
    directions = request.get_param_as_list("sort_dir") or []
    if any(direction not in ("asc", "desc") for direction in directions):
        raise errors.InvalidField(field="sort_dir", value=str(directions), reason="It must be 'asc' or 'desc'.")
    unknown = [key for key in keys if key not in sortable and key not in ignored]
    if unknown:
        raise errors.InvalidField(field="sort_key", value=unknown[0][:80], reason="It is not a key to sort by.")
    first = directions[0] == "desc" if directions else bool(default and default[0][1])
    sort = [(key, directions[index] == "desc" if index < len(directions) else first)
            for index, key in enumerate(keys) if key in sortable]
    for key, descending in default:
        if key not in {name for name, _ in sort}:
            sort.append((key, first if keys or directions else descending))
    if tie not in {name for name, _ in sort}:
        sort.append((tie, sort[-1][1] if sort else False))
    marker = request.get_param("marker") or None
    return paging.Page(limit=paging.limit_of(request, conf.api.max_limit), marker=marker, sort=tuple(sort))


def project_of(text: str) -> str:
    """Return a project id in our spelling; what is no UUID is returned as it is (and found nowhere)."""
    return ids.canonical(text) or text


def page_links(request: falcon.Request, base: str, path: str, marker: str) -> list[dict[str, Any]]:
    """Return the `*_links` member that leads to the page after `marker`."""
    return [{"rel": "next", "href": paging.next_link(request, f"{base}{ROOT}{path}", marker)}]
