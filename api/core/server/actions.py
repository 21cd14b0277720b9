"""What can be done to a server besides changing its record: power, lock, state, console, security groups.

Actions that need the host are accepted as operations; the others are done at once. The server's row is locked while
its state is checked, so two concurrent actions cannot both pass.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.server import rows as server_rows
from api.core.server.servers import authorised, check_idle, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Host, Port, PortSecurityGroup, Server
from hostler.operations import journal
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import network
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import A, Kind
from hostler.resources import revisions
from hostler.resources.network import security_groups
from hostler.resources.server import migrations
from hostler.resources.server.moves import move
from hostler.resources.server.status import check_may_start


def change_power(services: Services, context: RequestContext, server_id: str, kind: Kind[A], arguments: A, *,
                 policy: str, said_as: str) -> None:
    """Accept an operation that the server's host does; raises NotFound, Forbidden, InvalidState, ResourceLocked."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, policy)
        check_idle(session, server, said_as)
        check_may_start(kind, server.id, server.vm_state, said_as=said_as,
                        hard=isinstance(arguments, kinds.Reboot) and arguments.hard)
        if server.host_id is None:
            raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
        return accept(session, context, kind, Target("server", server.id), arguments,
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, in_turn(services, work))


def lock(services: Services, context: RequestContext, server_id: str, reason: str | None) -> None:
    """Make the server refuse changes by anyone but administrators until it is unlocked."""

    def work(session: orm.Session) -> None:
        server = to_change(services, session, context, server_id, "os_compute_api:os-lock-server:lock",
                           when_locked=True)
        server.locked, server.locked_reason = True, reason
        journal.note(session, context, kinds.LOCK, server)

    services.db.write(work)


def unlock(services: Services, context: RequestContext, server_id: str) -> None:
    """Let the server be changed again."""

    def work(session: orm.Session) -> None:
        server = to_change(services, session, context, server_id, "os_compute_api:os-lock-server:unlock",
                           when_locked=True)
        server.locked, server.locked_reason = False, None
        journal.note(session, context, kinds.UNLOCK, server)

    services.db.write(work)


def reset_state(services: Services, context: RequestContext, server_id: str, state: str) -> None:
    """Set the state to active or error, for administrators; refused while an operation holds the server.

    A move that waits to be confirmed ends with it: the server stays where it is.
    """

    def work(session: orm.Session) -> None:
        server = to_change(services, session, context, server_id, "os_compute_api:os-admin-actions:reset_state",
                           when_locked=True)
        check_idle(session, server, "os-resetState")
        if not move(session, server.id, state):
            raise errors.InvalidState(action="os-resetState", resource="instance", id=server.id,
                                      attribute="vm_state", state=server.vm_state)
        migrations.end_open(session, server.id)
        journal.note(session, context, kinds.RESET_STATE, server)

    in_turn(services, work)


def console_output(services: Services, context: RequestContext, server_id: str, length: int | None) -> str:
    """Return the last `length` lines of the console log (None: all); raises Conflict off-host, Unavailable."""
    server = authorised(services, context, server_id, "os_compute_api:os-console-output")
    return services.compute.get_console_output(context, host_name(services, server), server.id, length)


def diagnostics(services: Services, context: RequestContext, server_id: str) -> tuple[Any, dict[str, Any]]:
    """Return a server's row and its counters, as its host gives them; raises Conflict off-host, Unavailable."""
    server = authorised(services, context, server_id, "os_compute_api:os-server-diagnostics")
    return server, services.compute.get_diagnostics(context, host_name(services, server), server.id)


def host_name(services: Services, server: Any) -> str:
    """Return the name of a server's host; raises Conflict when it is on none."""
    with services.db.reading() as session:
        name: str | None = session.scalar(sa.select(Host.name).where(Host.id == server.host_id))
    if name is None:
        raise errors.Conflict(reason=f"Instance {server.id} is not ready")
    return name


def add_security_group(services: Services, context: RequestContext, server_id: str, name: str) -> None:
    """Put every port of a server into a group; may be repeated."""

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, "os_compute_api:os-security-groups:add")
        group_id = _group(session, server, name)
        port_ids = _secured_ports(session, server)
        if not port_ids:
            raise errors.Invalid(reason=f"Instance {server.id} has no port that security groups apply to.")
        inside = set(session.scalars(sa.select(PortSecurityGroup.port_id).where(
            PortSecurityGroup.port_id.in_(port_ids), PortSecurityGroup.group_id == group_id)))
        security_groups.check_alike(session, {group_id, *security_groups.groups_of(session, port_ids)})
        session.add_all([PortSecurityGroup(port_id=port_id, group_id=group_id)
                         for port_id in port_ids if port_id not in inside])
        session.flush()
        return _tell(session, context, server, port_ids, group_id)

    services.waker.wake(context, *services.db.write(work))


def remove_security_group(services: Services, context: RequestContext, server_id: str, name: str) -> None:
    """Take every port of a server out of a group; raises NotFound when none is in it."""

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, "os_compute_api:os-security-groups:remove")
        group_id = _group(session, server, name)
        port_ids = _secured_ports(session, server)
        # Rules that admit the group's members are sent while the server is still a member.
        told = _tell(session, context, server, port_ids, group_id)
        gone = session.execute(sa.delete(PortSecurityGroup).where(
            PortSecurityGroup.port_id.in_(port_ids), PortSecurityGroup.group_id == group_id))
        if not gone.rowcount:  # type: ignore[attr-defined]
            raise errors.NotFound(f"Security group {name} not associated with the instance {server.id}",
                                  resource="security_group", id=name)
        return told

    services.waker.wake(context, *services.db.write(work))


def _group(session: orm.Session, server: Server, name: str) -> str:
    try:
        return security_groups.resolve(session, server.project_id, [name])[0]
    except errors.Invalid as error:
        raise errors.NotFound(str(error), resource="security_group", id=name) from None


def _secured_ports(session: orm.Session, server: Server) -> list[str]:
    return list(session.scalars(sa.select(Port.id).where(Port.server_id == server.id, Port.port_security_enabled)))


def _tell(session: orm.Session, context: RequestContext, server: Server, port_ids: list[str],
          group_id: str) -> list[str]:
    others = security_groups.notify_hosts(session, context, [group_id], rules_changed=False, port_ids=port_ids,
                                          except_server=server.id)
    if server.host_id is None:
        return others
    revisions.ports_changed(session, port_ids)
    own = accept(session, context, network.APPLY_RULES, Target("server", server.id),
                 network.ApplyRules(port_ids=tuple(port_ids)), lock=False, project_id=server.project_id)
    return [own.id, *others]


def groups_of(services: Services, context: RequestContext, server_id: str) -> list[Any]:
    """Return the security groups of a server's ports, each with its rules."""
    server = authorised(services, context, server_id, "os_compute_api:os-security-groups:list")
    return server_rows.security_groups_of(services, server.id)
