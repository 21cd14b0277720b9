"""What a face is to the application: a path prefix, its routes, and how it words an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import falcon

from api.services import Services
from hostler import errors


@dataclasses.dataclass(frozen=True)
class Face:
    """One published API below one path.

    `routes(services)` yields (path template below `prefix`, resource); the same position of a path must always use
    the same parameter name. `render_error(status, error, request_id)` gives the body,
    `write_error(request, response, body)` writes it where its type depends on the request. `prepare` runs before
    authentication (microversion negotiation), `finish` after the handler (version headers). `statuses` are the
    families to which this API gives another status than the common table does. `empty_id_is_404`: `/servers/` is not
    the list of servers but a server without an id, as in the reference's router. `any_scope`: tokens of a domain or the
    system are taken; the other APIs refuse them, as in the reference. `heads`: whatever takes GET takes HEAD, too.
    """

    prefix: str
    routes: Callable[[Services], Iterable[tuple[str, Any]]]
    render_error: Callable[[int, errors.HostlerError, str], dict[str, Any]]
    prepare: Callable[[falcon.Request, falcon.Response], None] | None = None
    finish: Callable[[falcon.Request, falcon.Response], None] | None = None
    write_error: Callable[[falcon.Request, falcon.Response, dict[str, Any]], None] | None = None
    statuses: tuple[tuple[type[errors.HostlerError], int], ...] = ()
    empty_id_is_404: bool = False
    any_scope: bool = False
    heads: bool = False
