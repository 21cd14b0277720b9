"""What administrators and others have done to a server's networks as a whole."""

from __future__ import annotations

from sqlalchemy import orm

from api.core.server.servers import authorised, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.operations.accept import Target, accept
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind


def reset(services: Services, context: RequestContext, server_id: str, kind: Kind[Arguments], policy: str) -> None:
    """Have the server's host connect its ports again, with bridge, DHCP and filters; whatever works on it goes on."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, policy)
        return accept(session, context, kind, Target("server", server.id), Arguments(), lock=False,
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, services.db.write(work))


def find_floating_ip(services: Services, context: RequestContext, server_id: str, policy: str) -> None:
    """Raise NotFound: no network here has floating addresses yet, so there is none to give or take."""
    authorised(services, context, server_id, policy)
    raise errors.NotFound("floating IP not found", resource="floating_ip", id=server_id)
