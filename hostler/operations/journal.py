"""Changes that need no host: made within the request, and recorded in the server's action list like all others."""

from __future__ import annotations

from sqlalchemy import orm
from taskflow import states as flow_states

from hostler import clock, ids
from hostler.context import RequestContext
from hostler.db.models import Host, Operation, OperationStep, Server
from hostler.operations import states
from hostler.operations.kinds.kind import Immediate


def note(session: orm.Session, context: RequestContext, kind: Immediate, server: Server) -> None:
    """Write an operation of `kind` that is finished already, in the transaction of the change.

    What the server's host did by it, if anything, is its one event.
    """
    now, operation_id = clock.utcnow(), ids.new_id()
    if kind.step is not None:
        host = session.get(Host, server.host_id) if server.host_id is not None else None
        session.add(OperationStep(
            operation_id=operation_id, name=kind.step, uuid=ids.new_id(), state=flow_states.SUCCESS,
            host=host.name if host is not None else None, started_at=now, finished_at=now))
    session.add(Operation(
        id=operation_id, kind=kind.name, resource_type="server", resource_id=server.id, project_id=server.project_id,
        user_id=context.user_id, request_id=context.request_id, state=states.SUCCEEDED, created_at=now,
        started_at=now, finished_at=now, progress=100))
