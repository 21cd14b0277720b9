"""What was done to a server, and the steps of it: its operations and theirs."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa

from api import paging
from api.core.server import rows as server_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Operation, OperationStep, Server

_POLICY = "os_compute_api:os-instance-actions:"
_ORDER = ((Operation.created_at, True), (Operation.id, True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActionQuery:
    """Which of a server's operations are wanted, newest first; `marker` is a request id."""

    limit: int
    marker: str | None = None
    changed_since: dt.datetime | None = None
    changed_before: dt.datetime | None = None
    of_deleted: bool = True


@dataclasses.dataclass(frozen=True)
class Action:
    """One operation, its steps in order, and the server's project."""

    operation: Operation
    steps: Sequence[OperationStep]
    project_id: str


def list_actions(services: Services, context: RequestContext, server_id: str,
                 query: ActionQuery) -> Sequence[Operation]:
    """Return a page (and one more when there are further ones); raises NotFound, Invalid."""
    server = _server(services, context, server_id, "list", query.of_deleted)
    statement = sa.select(Operation).where(Operation.resource_id == server.id)
    if query.changed_since is not None:
        statement = statement.where(Operation.updated_at >= query.changed_since)
    if query.changed_before is not None:
        statement = statement.where(Operation.updated_at <= query.changed_before)
    with services.db.reading() as session:
        if query.marker is not None:
            last = session.execute(sa.select(Operation.created_at, Operation.id).where(
                Operation.resource_id == server.id, Operation.request_id == query.marker).limit(1)).one_or_none()
            if last is None:
                raise errors.Invalid(reason=f"marker [{query.marker[:80]}] not found")
            statement = statement.where(paging.after_marker(_ORDER, tuple(last)))
        return session.scalars(statement.order_by(*paging.order_by(_ORDER)).limit(query.limit + 1)).all()


def show(services: Services, context: RequestContext, server_id: str, request_id: str, *,
         of_deleted: bool = True) -> Action:
    """Return what one request did to a server; raises NotFound."""
    server = _server(services, context, server_id, "show", of_deleted)
    with services.db.reading() as session:
        operation = session.scalars(
            sa.select(Operation).where(Operation.resource_id == server.id, Operation.request_id == request_id)
            .order_by(Operation.created_at, Operation.id).limit(1)).one_or_none()
        if operation is None:
            raise errors.NotFound(f"Action {request_id} not found", resource="action", id=request_id)
        steps = session.scalars(
            sa.select(OperationStep).where(OperationStep.operation_id == operation.id,
                                           OperationStep.started_at.is_not(None))
            .order_by(OperationStep.started_at.desc(), OperationStep.name)).all()
    return Action(operation, steps, server.project_id)


def _server(services: Services, context: RequestContext, server_id: str, action: str, of_deleted: bool) -> Server:
    """Return a server that the caller may look at."""
    identifier = ids.canonical(server_id)
    with services.db.reading() as session:
        server = session.get(Server, identifier) if identifier is not None else None
    if server is None or (server.deleted_at is not None and not of_deleted):
        raise server_rows.not_found(server_id)
    if not context.is_admin and server.project_id != context.project_id:
        raise server_rows.not_found(server_id)
    services.policy.check(context, _POLICY + action, server_rows.target_of(server))
    return server
