"""One server: show, change, delete, and the checks every change makes first.

A change locks the server's row, checks that neither its user nor an operation has locked the server, then writes.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.server import rows as server_rows
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Lock, Port, Server
from hostler.operations.accept import Target, accept_once_behind, unfinished
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources.network import host_updates, peers
from hostler.resources.server import states
from hostler.resources.server.status import task_state

# What the guest's metadata shows.
_GUEST_SEES = frozenset({"name", "hostname"})
_OVERRIDE = "os_compute_api:os-lock-server:unlock:unlock_override"


def show(services: Services, context: RequestContext, server_id: str, *,
         user_data: bool = False) -> tuple[Any, server_rows.Related]:
    """Return one server's row and what belongs to it; raises NotFound."""
    with services.db.reading() as session:
        row = server_rows.find(session, context, server_id, user_data=user_data)
        services.policy.check(context, "os_compute_api:servers:show", server_rows.target_of(row))
        return row, server_rows.related(services, session, [row], groups=True)


def authorised(services: Services, context: RequestContext, server_id: str, action: str) -> Any:
    """Return one server's row when the caller may do `action` to it; raises NotFound, Forbidden."""
    with services.db.reading() as session:
        row = server_rows.find(session, context, server_id)
    services.policy.check(context, action, server_rows.target_of(row))
    return row


def to_change(services: Services, session: orm.Session, context: RequestContext, server_id: str, action: str, *,
              when_locked: bool = False) -> Server:
    """Return a server for `action`, held till the transaction ends; raises NotFound, Forbidden, Conflict.

    A server its user locked refuses all but administrators, unless `when_locked`.
    """
    server = server_rows.load(session, context, server_id, held=True)
    services.policy.check(context, action, server_rows.target_of(server))
    if server.locked and not when_locked and not services.policy.allows(context, _OVERRIDE,
                                                                         server_rows.target_of(server)):
        raise errors.Conflict(f"Instance {server.id} is locked", reason="locked")
    return server


def check_idle(session: orm.Session, server: Server, said_as: str) -> None:
    """Raise ResourceLocked, naming the task state, when an operation holds the server."""
    lock = session.get(Lock, server.id)
    if lock is None:
        return
    task = task_state(lock.kind, placed=server.host_id is not None)
    raise errors.ResourceLocked(
        f"Cannot '{said_as}' instance {server.id} while it is in task_state {task or lock.kind}",
        resource="server", id=server.id, operation=lock.operation_id, kind=lock.kind,
        locked=[{"id": server.id, "type": "server"}])


def update(services: Services, context: RequestContext, server_id: str, values: dict[str, Any]) -> None:
    """Set columns of a server (name, description, hostname, access addresses)."""

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, "os_compute_api:servers:update", when_locked=True)
        if "hostname" in values:
            _rename_ports(session, server, values["hostname"])
        for key, value in values.items():
            setattr(server, key, value)
        if not values.keys() & _GUEST_SEES:
            return []
        session.flush()
        renamed = peers.names_changed(session, server.id) if "hostname" in values else []
        return [*host_updates.notify_of_server(session, context, server),
                *host_updates.notify_of_peers(session, context, renamed)]

    services.waker.wake(context, *services.db.write(work))


def _rename_ports(session: orm.Session, server: Server, hostname: str) -> None:
    """Copy a server's new host name to its ports, for DHCP; ports with a name of their own keep it."""
    for port in session.scalars(sa.select(Port).where(Port.server_id == server.id, Port.dns_name == server.hostname)):
        if port.dns_name != hostname:
            port.dns_name = hostname
            port.revision += 1


def delete(services: Services, context: RequestContext, server_id: str, *, by_force: bool = False) -> None:
    """Accept a server's deletion, in whatever state it is; deleting it again changes nothing.

    It goes into the trash when `[compute] deletion_policy` says so, unless it is deleted `by_force` or has never been
    built. While another operation holds the server, that one is asked to stop at its next task and the deletion waits
    for its lock.
    """
    action = "os_compute_api:" + ("os-deferred-delete:force" if by_force else "servers:delete")
    to_trash = services.conf.compute.deletion_policy != "direct" and not by_force

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, action)
        kind = kinds.SOFT_DELETE if to_trash and server.launched_at is not None else kinds.DELETE
        if kind is kinds.SOFT_DELETE and (server.vm_state == states.SOFT_DELETED
                                          or unfinished(session, kinds.DELETE, server.id) is not None):
            return []
        accepted = accept_once_behind(session, context, kind, Target("server", server.id), Arguments(),
                                      project_id=server.project_id, host_id=server.host_id)
        return [accepted.id] if accepted is not None else []

    services.waker.wake(context, *services.db.write(work))
