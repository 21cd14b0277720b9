"""The passwords of a server's administrator: set one, read and forget the one that the guest posted encrypted."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import follow, in_turn
from api.core.server.servers import authorised, check_idle, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Server
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.resources.network import host_updates
from hostler.resources.server.status import check_may_start


def change(services: Services, context: RequestContext, server_id: str, password: str) -> None:
    """Have the agent in the guest set the password; raises Conflict with the reason when it cannot."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, "os_compute_api:os-admin-password")
        check_idle(session, server, "changePassword")
        check_may_start(kinds.CHANGE_PASSWORD, server.id, server.vm_state, said_as="changePassword")
        if server.host_id is None:
            raise errors.Conflict(reason=f"Instance {server.id} is not ready: it is on no host.")
        return accept(session, context, kinds.CHANGE_PASSWORD, Target("server", server.id),
                      kinds.ChangePassword(password=password), project_id=server.project_id,
                      host_id=server.host_id).id

    follow(services, context, in_turn(services, work), services.conf.api.operation_wait)


def show(services: Services, context: RequestContext, server_id: str) -> str:
    """Return what the guest posted, '' when it did not."""
    row = authorised(services, context, server_id, "os_compute_api:os-server-password:show")
    with services.db.reading() as session:
        return session.scalar(sa.select(Server.encrypted_password).where(Server.id == row.id)) or ""


def clear(services: Services, context: RequestContext, server_id: str) -> None:
    """Forget what the guest posted, so that it may post again."""

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, "os_compute_api:os-server-password:clear",
                           when_locked=True)
        server.encrypted_password = None
        session.flush()
        return host_updates.notify_of_server(session, context, server)

    services.waker.wake(context, *services.db.write(work))
