"""Reading snapshots: plain rows with the status derived in SQL, so that lists filter and sort by it."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Lock, Operation, Snapshot
from hostler.operations.kinds import volume as kinds
from hostler.query.fields import Field
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources.volume import states
from hostler.resources.volume.status import SNAPSHOT_WHILE

SNAPSHOTS: Any = Snapshot.__table__
_LOCKS: Any = Lock.__table__
_OPERATIONS: Any = Operation.__table__
_LEAVING: Final = sa.func.coalesce(_LOCKS.c.kind, "").in_((kinds.DELETE_SNAPSHOT.name, kinds.DELETE.name))
STATUS: Final[Any] = sa.case(
    (sa.and_(SNAPSHOTS.c.state == states.CREATING, sa.not_(_LEAVING)), states.CREATING),
    *((_LOCKS.c.kind == kind, status) for kind, status in SNAPSHOT_WHILE.items()), else_=SNAPSHOTS.c.state)
_COLUMNS = [column for column in SNAPSHOTS.c if column.key not in ("metadata", "provider", "volume_record")]
SNAPSHOT: Final = declare(Snapshot, {"status": Field(STATUS)}, source=SNAPSHOTS.outerjoin(
    _LOCKS, _LOCKS.c.resource_id == SNAPSHOTS.c.id).outerjoin(_OPERATIONS, _OPERATIONS.c.id == _LOCKS.c.operation_id))
_ROWS = sa.select(*_COLUMNS, SNAPSHOTS.c.metadata.label("extra"), STATUS.label("status"),
                  _OPERATIONS.c.progress).select_from(SNAPSHOT.source)


def not_found(snapshot_id: str) -> errors.NotFound:
    """Return the error for a snapshot that does not exist for the caller."""
    return errors.NotFound(f"Snapshot {snapshot_id[:80]} could not be found.", resource="snapshot", id=snapshot_id)


def find(session: orm.Session, context: RequestContext, snapshot_id: str) -> Any:
    """Return one snapshot's row; raises NotFound when it is gone or another project's."""
    query = _ROWS.where(SNAPSHOTS.c.id == (ids.canonical(snapshot_id) or ""), SNAPSHOTS.c.deleted_at.is_(None))
    if not context.is_admin:
        query = query.where(SNAPSHOTS.c.project_id == context.project_id)
    row = session.execute(query).one_or_none()
    if row is None:
        raise not_found(snapshot_id)
    return row


def show(services: Services, context: RequestContext, snapshot_id: str, *,
         action: str = "volume:get_snapshot") -> Any:
    """Return one snapshot's row under policy `action`; raises NotFound, Forbidden."""
    with services.db.reading() as session:
        row = find(session, context, snapshot_id)
    services.policy.check(context, action, volume_rows.target_of(row))
    return row


def list_snapshots(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of `find`'s rows; raises NotFound for an unknown marker."""
    services.policy.check(context, "volume:get_all_snapshots")
    scope = [SNAPSHOTS.c.deleted_at.is_(None)]
    if query.project_id is not None:
        scope.append(SNAPSHOTS.c.project_id == query.project_id)
    with services.db.reading() as session:
        return read_page(session, SNAPSHOT, query, scope, selection=_ROWS)
