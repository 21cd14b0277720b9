"""Evacuating a server: its host is down, another makes it run again."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.fleet import hosts
from api.core.server.servers import to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Host, Server
from hostler.operations.kinds import server as kinds
from hostler.resources.server import evacuations
from hostler.resources.server.status import check_may_start

_SAID_AS = "evacuate"


def evacuate(services: Services, context: RequestContext, server_id: str, arguments: kinds.Evacuate) -> None:
    """Accept an evacuation; what another operation does with the server on its dead host is asked to stop.

    Raises NotFound (also for the target), Forbidden, InvalidState, ResourceLocked, and Invalid when the target is
    the server's own host or that is up.
    """

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, "os_compute_api:os-evacuate")
        _check_target(session, server, arguments.host)
        evacuations.check_free(session, server)
        check_may_start(kinds.EVACUATE, server.id, server.vm_state, said_as=_SAID_AS)
        source = session.get(Host, server.host_id) if server.host_id else None
        if source is None:
            raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
        if hosts.is_up(source, hosts.silent_before(services)):
            raise errors.Invalid(reason=f"Compute service of {source.name} is still in use.")
        return evacuations.accept(session, context, server, arguments).id

    services.waker.wake(context, services.db.write(work))


def _check_target(session: orm.Session, server: Server, name: str | None) -> None:
    if name is None:
        return
    host_id = session.scalar(sa.select(Host.id).where(Host.name == name))
    if host_id is None:
        raise errors.NotFound(f"Compute host {name} not found.", resource="host", id=name)
    if host_id == server.host_id:
        raise errors.Invalid(reason="The target host can't be the same one.")
