"""List parameters of the Network API, and the links to the pages around."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import falcon

from api import links, paging
from api.services import Services
from hostler import errors
from hostler.query import text
from hostler.query.compiler import unknown
from hostler.query.paging import Page, Query

_LARGEST = 1 << 31
NOT_FILTERS = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})


def read_query(request: falcon.Request, maximum: int, filters: Mapping[str, text.Filter],
               sortable: Mapping[str, str]) -> Query:
    """Return what a list request asks for; raises InvalidField, for an unknown filter, too."""
    found = {name: request.get_param_as_list(name) or [] for name in request.params if name not in NOT_FILTERS}
    for name in found.keys() - filters.keys():
        raise unknown(name)
    limit = asked_limit(request)
    return Query(where=text.where(filters, found), sort=_sort(request, sortable), missing=_unknown_marker,
                 limit=min(limit, maximum) if limit else maximum, marker=request.get_param("marker") or None,
                 reverse=(request.get_param("page_reverse") or "").lower() in ("true", "1"))


def _unknown_marker(marker: str) -> errors.InvalidField:
    return errors.InvalidField(field="marker", value=marker[:80], reason="There is no such resource.")


def fields_of(request: falcon.Request) -> set[str]:
    """Return the attributes asked for; empty means all."""
    return {name for value in request.get_param_as_list("fields") or () for name in value.split(",") if name}


def only(shown: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    """Return the attributes asked for."""
    return {name: value for name, value in shown.items() if name in fields} if fields else shown


def page_links(services: Services, request: falcon.Request, path: str, query: Query, page: Page,
               ids: Sequence[str]) -> list[dict[str, str]]:
    """Return the links to the pages after and before this one: none to a page that is known to be empty."""
    if not page.full and not asked_limit(request):
        return []
    found: list[dict[str, str]] = []
    if page.full or query.reverse:
        found.append({"rel": "next", "href": _url(services, request, path, ids[-1:], reverse=False)})
    if page.full or not query.reverse:
        found.append({"rel": "previous", "href": _url(services, request, path, ids[:1], reverse=True)})
    return found


def _url(services: Services, request: falcon.Request, path: str, marker: Sequence[str], *, reverse: bool) -> str:
    params: dict[str, Any] = {name: value for name, value in request.params.items()
                              if name not in ("marker", "page_reverse")}
    params |= {"marker": marker[0]} if marker else {}
    params |= {"page_reverse": "True"} if reverse else {}
    query = urllib.parse.urlencode(params, doseq=True)
    return f"{links.base_url(services.conf, request)}/network/v2.0/{path}?{query}"


def _sort(request: falcon.Request, sortable: Mapping[str, str]) -> tuple[tuple[str, bool], ...]:
    keys = request.get_param_as_list("sort_key") or []
    directions = request.get_param_as_list("sort_dir") or ["asc"] * len(keys)
    if len(keys) != len(directions):
        raise errors.Invalid(reason="The number of sort_keys and sort_dirs must be same")
    return tuple((paging.field_of(key, sortable), paging.descending(direction))
                 for key, direction in zip(keys, directions, strict=True))


def asked_limit(request: falcon.Request) -> int:
    """Return the page size asked for; 0: none is."""
    if request.get_param("limit") == "infinite":
        return 0
    return paging.limit_of(request, _LARGEST) % _LARGEST
