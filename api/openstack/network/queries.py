"""List parameters of the Network API, and the links to the pages around."""

from __future__ import annotations

import urllib.parse
from typing import Any

import falcon

from api import links
from api.core.network.lists import ListPage, ListQuery
from api.openstack.network.nouns import Noun
from api.services import Services
from hostler import errors

_NOT_FILTERS = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})
_DIRECTIONS = {"asc": False, "desc": True}


def read_query(request: falcon.Request) -> ListQuery:
    """Return what a list request asks for; raises InvalidField."""
    filters = {name: tuple(request.get_param_as_list(name) or ())
               for name in request.params if name not in _NOT_FILTERS}
    for name, values in filters.items():
        if any("\x00" in value for value in (name, *values)):
            raise errors.InvalidField(field="query", value="NUL", reason="It is in no attribute.")
    return ListQuery(filters=filters, sort=_sort(request), limit=_limit(request),
                     marker=request.get_param("marker") or None,
                     reverse=(request.get_param("page_reverse") or "").lower() in ("true", "1"))


def fields_of(request: falcon.Request) -> set[str]:
    """Return the attributes asked for; empty means all."""
    return {name for value in request.get_param_as_list("fields") or () for name in value.split(",") if name}


def only(shown: dict[str, Any], fields: set[str]) -> dict[str, Any]:
    """Return the attributes asked for."""
    return {name: value for name, value in shown.items() if name in fields} if fields else shown


def page_links(services: Services, request: falcon.Request, noun: Noun, query: ListQuery, page: ListPage[Any],
               ids: list[str]) -> list[dict[str, str]]:
    """Return the links to the pages after and before this one."""
    found: list[dict[str, str]] = []
    if not ids:
        return found
    onward, back = ("previous", "next") if query.reverse else ("next", "previous")
    if page.more:
        found.append({"rel": onward, "href": _url(services, request, noun, ids[0 if query.reverse else -1],
                                                  query.reverse)})
    if query.marker is not None:
        found.append({"rel": back, "href": _url(services, request, noun, ids[-1 if query.reverse else 0],
                                                not query.reverse)})
    return found


def _url(services: Services, request: falcon.Request, noun: Noun, marker: str, reverse: bool) -> str:
    params: dict[str, Any] = {name: value for name, value in request.params.items() if name != "page_reverse"}
    params["marker"] = marker
    if reverse:
        params["page_reverse"] = "True"
    query = urllib.parse.urlencode(params, doseq=True)
    return f"{links.base_url(services.conf, request)}/network/v2.0/{noun.path}?{query}"


def _sort(request: falcon.Request) -> tuple[tuple[str, bool], ...]:
    keys = request.get_param_as_list("sort_key") or []
    directions = request.get_param_as_list("sort_dir") or ["asc"] * len(keys)
    if len(keys) != len(directions):
        raise errors.Invalid(reason="The number of sort_keys and sort_dirs must be same")
    for direction in directions:
        if direction not in _DIRECTIONS:
            raise errors.InvalidField(field="sort_dir", value=direction, reason="It is asc or desc.")
    return tuple((key, _DIRECTIONS[direction]) for key, direction in zip(keys, directions, strict=True))


def _limit(request: falcon.Request) -> int | None:
    text = request.get_param("limit")
    if not text or text == "infinite":
        return None
    try:
        limit = int(text)
    except ValueError:
        limit = -1
    if limit < 0:
        raise errors.InvalidField(field="limit", value=text, reason="It must be an integer of 0 or more.")
    return limit or None
