"""Messages to users: why an operation on a volume, snapshot or backup failed. They are the failed operations.

A message that is deleted is shown no more; the record of the operation stays.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Operation, OperationNote
from hostler.operations import notes, states
from hostler.query.fields import constant
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

_TYPES: Final = ("volume", "snapshot", "backup")
# Every message is an error, so that all are of one level.
MESSAGE: Final = declare(Operation, {"level": constant("ERROR")})
_FAILED: Final = (
    Operation.state == states.FAILED, Operation.resource_type.in_(_TYPES),
    ~sa.exists().where(OperationNote.operation_id == Operation.id, OperationNote.name == notes.UNTOLD))


def event_of(kind: str) -> str:
    """Return the event of a message about an operation of `kind`.

    >>> event_of("volume.create")
    'VOLUME_CREATE_FAILED'
    """
    return kind.replace(".", "_").upper() + "_FAILED"


def kind_of(event: str) -> str:
    """Return the operation's kind that an event is about."""
    return event.removesuffix("_FAILED").lower().replace("_", ".", 1)


def list_messages(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of failed operations; raises NotFound for an unknown marker."""
    services.policy.check(context, "message:get_all")
    scope = [*_FAILED, *([Operation.project_id == query.project_id] if query.project_id is not None else [])]
    with services.db.reading() as session:
        return read_page(session, MESSAGE, query, scope)


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
    """Stop showing a message; raises NotFound."""
    row = show(services, context, message_id)
    services.policy.check(context, "message:delete", {"project_id": row.project_id, "user_id": row.user_id})
    services.db.write(lambda session: notes.write(session, row.id, notes.UNTOLD))
