"""Messages to users: why an operation on a volume, snapshot or backup failed. They are the failed operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from api.core.row_pages import RowPage, RowQuery, RowSource, read_page
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Operation
from hostler.operations import states

_TYPES: Final = ("volume", "snapshot", "backup")
SORT_COLUMNS: Final[Mapping[str, Any]] = {
    "id": Operation.id, "event_id": Operation.kind, "resource_type": Operation.resource_type,
    "resource_uuid": Operation.resource_id, "request_id": Operation.request_id,
    "created_at": Operation.created_at,
    # Every message is an error, and none is deleted by itself.
    "message_level": Operation.state, "guaranteed_until": Operation.created_at}
# Published filter → column; the caller's resource types are in capitals.
_FILTERS: Final[Mapping[str, Any]] = {"resource_uuid": Operation.resource_id, "request_id": Operation.request_id}
_FAILED: Final = (Operation.state == states.FAILED, Operation.resource_type.in_(_TYPES))


def event_of(kind: str) -> str:
    """Return the event of a message about an operation of `kind`.

    >>> event_of("volume.create")
    'VOLUME_CREATE_FAILED'
    """
    return kind.replace(".", "_").upper() + "_FAILED"


def list_messages(services: Services, context: RequestContext, query: RowQuery) -> RowPage:
    """Return a page of failed operations; filters: resource_uuid, resource_type, request_id, event_id,
    message_level."""
    services.policy.check(context, "message:get_all")
    conditions = [column == query.filters[name] for name, column in _FILTERS.items() if name in query.filters]
    if "resource_type" in query.filters:
        conditions.append(Operation.resource_type == query.filters["resource_type"].lower())
    if "event_id" in query.filters:
        kind = query.filters["event_id"].removesuffix("_FAILED").lower().replace("_", ".", 1)
        conditions.append(Operation.kind == kind)
    if query.filters.get("message_level", "ERROR") != "ERROR":
        conditions.append(sa.false())
    scope = [*_FAILED, Operation.project_id == query.project_id] if query.project_id is not None else list(_FAILED)
    with services.db.reading() as session:
        page = read_page(session, RowSource(sa.select(Operation), Operation.id, scope, SORT_COLUMNS), query,
                         conditions)
    return RowPage([row[0] for row in page.rows], page.more, page.count)


def show(services: Services, context: RequestContext, message_id: str) -> Operation:
    """Return one failed operation; raises NotFound."""
    query = sa.select(Operation).where(Operation.id == (ids.canonical(message_id) or ""), *_FAILED)
    if not context.is_admin:
        query = query.where(Operation.project_id == context.project_id)
    with services.db.reading() as session:
        row = session.scalars(query).one_or_none()
    if row is None:
        raise errors.NotFound(f"Message {message_id[:80]} could not be found.", resource="message", id=message_id)
    services.policy.check(context, "message:get", {"project_id": row.project_id, "user_id": row.user_id})
    return row


def delete(services: Services, context: RequestContext, message_id: str) -> None:
    """Refuse: the record of what was done is kept. Raises NotFound, NotImplementedHere."""
    row = show(services, context, message_id)
    services.policy.check(context, "message:delete", {"project_id": row.project_id, "user_id": row.user_id})
    raise errors.NotImplementedHere(feature="Deleting messages (they are the record of failed operations)")
