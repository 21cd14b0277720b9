"""Servers in the trash: brought back. How they get there: `servers.delete`."""

from __future__ import annotations

from sqlalchemy import orm

from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler.context import RequestContext
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources import quota
from hostler.resources.server.status import check_may_start


def restore(services: Services, context: RequestContext, server_id: str) -> None:
    """Accept that a server comes back as it was; raises InvalidState, ResourceLocked, and Forbidden past a quota."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, "os_compute_api:os-deferred-delete:restore")
        check_idle(session, server, "restore")
        check_may_start(kinds.RESTORE, server.id, server.vm_state, said_as="restore")
        quota.claim(services.db, session, services.conf, server.project_id, {
            "instances": 1, "cores": server.vcpus, "ram": server.ram_mib})
        server.parked_at = None  # from now on it counts
        return accept(session, context, kinds.RESTORE, Target("server", server.id), Arguments(),
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, services.db.write(work))
