"""What every handler of this face asks of its request: who calls, query parameters by microversion, pages, links."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import falcon
from oslo_config import cfg

from api import links, paging
from api.microversions import Span
from hostler import errors
from hostler.context import RequestContext

PREFIX: Final = "/volume"
ROOT: Final = "/v3"
PAGE: Final[tuple[str, ...]] = ("limit", "marker", "offset", "sort", "sort_key", "sort_dir")
_TRUE: Final = ("1", "t", "true", "on", "y", "yes")
_FALSE: Final = ("0", "f", "false", "off", "n", "no")


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
    """Return what a yes-or-no parameter means; raises InvalidField."""
    if text is None:
        return default
    lowered = text.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise errors.InvalidField(field=name, value=text[:80], reason="It must be true or false.")


def number(name: str, text: str | None, default: int = 0) -> int:
    """Return a whole number ≥ 0; raises InvalidField."""
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise errors.InvalidField(field=name, value=text[:80], reason="It must be a whole number.")
    return int(text)


def page_of(request: falcon.Request, conf: cfg.ConfigOpts, *, sortable: Collection[str],
            default: Sequence[tuple[str, bool]] = (("created_at", True),), tie: str = "id") -> paging.Page:
    """Return the page asked for; `tie` is the unique key that ends every order.

    The order is asked for as `sort=key:dir,key` or as sort_key and sort_dir; `default` holds (key, descending).
    Raises InvalidField for a key or direction that is not known.
    """
    sort = _sort(request) or list(default)
    for key, _ in sort:
        if key not in sortable:
            raise errors.InvalidField(field="sort", value=key[:80], reason="It is not a key to sort by.")
    if tie not in {key for key, _ in sort}:
        sort.append((tie, sort[-1][1] if sort else False))
    return paging.Page(limit=paging.limit_of(request, conf.api.max_limit), marker=request.get_param("marker") or None,
                       sort=tuple(sort))


def offset_of(request: falcon.Request) -> int:
    """Return how many rows to pass over."""
    return number("offset", _last(request, "offset"))


def _sort(request: falcon.Request) -> list[tuple[str, bool]]:
    combined, keys, directions = (request.get_param_as_list(name) or [] for name in ("sort", "sort_key", "sort_dir"))
    if combined and (keys or directions):
        raise errors.Invalid(reason="The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with "
                                    "the 'sort' parameter.")
    if combined:
        terms = [term.strip().partition(":") for text in combined for term in text.split(",") if term.strip()]
        return [(key, _descending(direction or "desc")) for key, _, direction in terms]
    if directions and not keys:
        keys = ["created_at"]
    padded = [*directions, *["desc"] * len(keys)]
    return [(key, _descending(padded[index])) for index, key in enumerate(keys) if key]


def _descending(direction: str) -> bool:
    if direction not in ("asc", "desc"):
        raise errors.InvalidField(field="sort_dir", value=direction[:80], reason="It must be 'asc' or 'desc'.")
    return direction == "desc"


def _last(request: falcon.Request, name: str) -> str | None:
    values = request.get_param_as_list(name)
    return values[-1] if values else None


def page_links(request: falcon.Request, base: str, path: str, marker: str) -> list[dict[str, Any]]:
    """Return the `*_links` member that leads to the page after `marker`."""
    return [{"rel": "next", "href": paging.next_link(request, f"{base}{ROOT}{path}", marker)}]
