"""A server's action log: its operations and their steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import sqlalchemy as sa

from api.core.server import rows as server_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Operation, OperationStep, Server
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import resource_of

_POLICY = "os_compute_api:os-instance-actions:"
ACTION = dataclasses.replace(resource_of(Operation.__table__), key=Operation.__table__.c.request_id)


@dataclasses.dataclass(frozen=True)
class Action:
    """One operation, its steps in order, and the server's project."""

    operation: Operation
    steps: Sequence[OperationStep]
    project_id: str


def list_actions(services: Services, context: RequestContext, server_id: str, query: Query, *,
                 of_deleted: bool = True) -> Page:
    """Return a page of a server's operations, whose markers are request ids; raises NotFound, Invalid."""
    server = _server(services, context, server_id, "list", of_deleted)
    with services.db.reading() as session:
        return read_page(session, ACTION, query, [Operation.resource_id == server.id])


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
