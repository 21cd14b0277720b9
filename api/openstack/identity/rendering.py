"""How the identity face words its answers: errors, links, collections, ids and times."""

from __future__ import annotations

import datetime as dt
import http
from collections.abc import Callable, Sequence
from typing import Any

import falcon
from oslo_config import cfg

from api import links, paging
from hostler import clock, errors, ids
from hostler.query.paging import Page


def render_error(status: int, error: errors.HostlerError, _request_id: str) -> dict[str, Any]:
    """Return the body of an error."""
    try:
        title = http.HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    return {"error": {"code": status, "message": str(error), "title": title}}


def finish(_request: falcon.Request, response: falcon.Response) -> None:
    """Tell caches that answers depend on the token."""
    response.append_header("Vary", "X-Auth-Token")


def root(conf: cfg.ConfigOpts, request: falcon.Request) -> str:
    """Return the URL of the v3 API, without a slash at its end."""
    return f"{links.base_url(conf, request)}/identity/v3"


def collection(conf: cfg.ConfigOpts, request: falcon.Request, key: str, page: Page | Sequence[Any],
               view: Callable[[Any], dict[str, Any]] = dict) -> dict[str, Any]:
    """Return the body of a list of views; a full page links to the next one, which begins after the last item."""
    rows, full = (page.rows, page.full) if isinstance(page, Page) else (page, False)
    items = [view(row) for row in rows]
    here = links.base_url(conf, request) + request.path
    following = paging.next_link(request, here, str(items[-1]["id"])) if full else None
    query = f"?{request.query_string}" if request.query_string else ""
    return {key: items, "links": {"self": here + query, "previous": None, "next": following}}


def outside_id(identifier: str | None) -> str | None:
    """Return an id as this face prints it."""
    return ids.bare(identifier) if identifier is not None else None


def moment(value: dt.datetime | None) -> str | None:
    """Return a time as tokens print it: microseconds and `Z`."""
    return f"{clock.iso_micro(value)}Z" if value is not None else None
