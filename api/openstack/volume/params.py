"""What every handler of this face reads from its request: caller, parameters by microversion, pages, links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import falcon
from oslo_config import cfg

from api import links, paging
from api.microversions import Span
from hostler import errors
from hostler.context import RequestContext
from hostler.query import fields as query_fields
from hostler.query.paging import Query

PREFIX: Final = "/volume"
ROOT: Final = "/v3"
PAGE: Final[tuple[str, ...]] = ("limit", "marker", "offset", "sort", "sort_key", "sort_dir")


def caller(request: falcon.Request) -> RequestContext:
    """Return who asks; raises Forbidden for a token without a project, Invalid when the path names another one."""
    context: RequestContext = request.context.caller
    if context.project_id is None:
        raise errors.Forbidden("The token must be scoped to a project.", action="volume")
    if request.context.path_project not in (None, context.project_id):
        raise errors.Invalid(reason="Malformed request url")
    return context


def base_of(conf: cfg.ConfigOpts, request: falcon.Request) -> str:
    """Return the URL of this face, without a slash at its end."""
    return links.base_url(conf, request) + PREFIX


def read(request: falcon.Request, known: Mapping[str, Span]) -> dict[str, list[str]]:
    """Return the parameters that `known` knows in this version, each with all its values; others are passed over."""
    version = request.context.version
    return {name: value if isinstance(value, list) else [value] for name, value in request.params.items()
            if name in known and version in known[name]}


def one(found: Mapping[str, Sequence[str]], name: str) -> str | None:
    """Return the last value of a parameter, or None."""
    values = found.get(name)
    return values[-1] if values else None


def truth(name: str, text: str | None, *, default: bool = False) -> bool:
    """Return the value of a boolean parameter; raises InvalidField."""
    return default if text is None else query_fields.truth(name, text)


def number(name: str, text: str | None, default: int = 0) -> int:
    """Return a whole number ≥ 0; raises InvalidField."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.InvalidField(field=name, value=text[:80], reason="It must be a whole number.")
    return int(text)


def page_of(request: falcon.Request, conf: cfg.ConfigOpts, *, sortable: Mapping[str, str], **more: Any) -> Query:
    """Return the page asked for, by published sort keys and the fields they name; `more` are further parts of a query.

    Raises InvalidField for a key or direction that is not known.
    """
    return Query(limit=paging.limit_of(request, conf.api.max_limit), marker=request.get_param("marker") or None,
                 sort=tuple(paging.sort_of(request, sortable) or [("created_at", True)]), missing=_unknown_marker,
                 **more)


def _unknown_marker(marker: str) -> errors.NotFound:
    return errors.NotFound(f"Marker {marker[:80]} could not be found.", resource="marker", id=marker)


def offset_of(request: falcon.Request) -> int:
    """Return how many rows to pass over."""
    return number("offset", _last(request, "offset"))


def _last(request: falcon.Request, name: str) -> str | None:
    values = request.get_param_as_list(name)
    return values[-1] if values else None


def page_links(request: falcon.Request, base: str, path: str, marker: str) -> list[dict[str, Any]]:
    """Return the `*_links` member that leads to the page after `marker`."""
    return [{"rel": "next", "href": paging.next_link(request, f"{base}{ROOT}{path}", marker)}]
