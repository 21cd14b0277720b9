"""Changes that need no host: made within the request, and recorded in the server's action list like all others."""

from __future__ import annotations

from sqlalchemy import orm

from hostler import clock
from hostler.context import RequestContext
from hostler.db.models import Operation, Server
from hostler.operations import states
from hostler.operations.kinds.kind import Immediate


def note(session: orm.Session, context: RequestContext, kind: Immediate, server: Server) -> None:
    """Write an operation of `kind` that is finished already, in the transaction of the change."""
    now = clock.utcnow()
    session.add(Operation(
        kind=kind.name, resource_type="server", resource_id=server.id, project_id=server.project_id,
        user_id=context.user_id, request_id=context.request_id, state=states.SUCCEEDED, created_at=now,
        started_at=now, finished_at=now, progress=100))
