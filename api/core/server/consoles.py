"""Opening a server's console: its host grants it, the token is stored as a digest, the user gets a URL of the proxy."""

from __future__ import annotations

from typing import Final

from sqlalchemy import orm

from api.core.server.actions import host_name
from api.core.server.servers import authorised
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.resources.server import consoles
from hostler.resources.server.status import task_state

# Published type → option with the base of its URL.
_BASES: Final = {"novnc": "novncproxy_base_url", "spice-html5": "html5proxy_base_url", "serial": "serial_base_url"}
_CLOSED_WHILE: Final = frozenset({"deleting", "migrating"})


def create(services: Services, context: RequestContext, server_id: str, console_type: str) -> str:
    """Return the URL that opens a console of a published type.

    Raises NotFound, Forbidden, Conflict (off, on no host, or going), ConsoleUnavailable, Unavailable (a silent host).
    """
    server = authorised(services, context, server_id, "os_compute_api:os-remote-consoles")
    protocol = consoles.TYPES.get(console_type)
    if protocol is None:
        raise errors.ConsoleUnavailable(type=console_type)
    task = task_state(server.lock_kind, placed=server.host_id is not None)
    if task in _CLOSED_WHILE:
        raise errors.InvalidState(action=f"get_{protocol}_console", resource="instance", id=server.id,
                                  attribute="task_state", state=task)
    options = services.conf.console
    try:
        granted = services.compute.get_console(context, host_name(services, server), server.id, protocol,
                                               options.token_ttl)
    except errors.ConsoleUnavailable as error:
        raise errors.ConsoleUnavailable(type=console_type) from error
    target = consoles.Target(server_id=server.id, project_id=context.project_id, user_id=context.user_id,
                             protocol=protocol, address=granted["host"], port=granted["port"],
                             access_path=granted["path"], host_id=server.host_id)

    def store(session: orm.Session) -> None:
        consoles.add(session, granted["token"], target, options.token_ttl)

    services.db.write(store)
    base = getattr(options, _BASES[console_type])
    return f"{base}{'&' if '?' in base else '?'}token={granted['token']}"


def show(services: Services, context: RequestContext, token: str) -> consoles.Target:
    """Return what a token opens, for administrators; raises NotFound when it opens nothing (any more)."""
    services.policy.check(context, "os_compute_api:os-console-auth-tokens")
    with services.db.reading() as session:
        target = consoles.find(session, token)
    if target is None:
        raise errors.NotFound("Token not found", resource="token", id="***")
    return target
