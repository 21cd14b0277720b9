"""Reading backups: plain rows with the status derived in SQL, so that lists filter and sort by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.row_pages import RowPage, RowQuery, RowSource, read_page
from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backup, Lock, Operation
from hostler.resources.volume.status import BACKUP_WHILE

BACKUPS: Any = Backup.__table__
_LOCKS: Any = Lock.__table__
_OPERATIONS: Any = Operation.__table__
_HEIRS: Any = BACKUPS.alias("heirs")
STATUS: Final[Any] = sa.case(
    *((_LOCKS.c.kind == kind, status) for kind, status in BACKUP_WHILE.items()), else_=BACKUPS.c.state)
_HAS_HEIRS = sa.exists().where(_HEIRS.c.parent_id == BACKUPS.c.id, _HEIRS.c.deleted_at.is_(None)).correlate(BACKUPS)
_ROWS = sa.select(
    *(column for column in BACKUPS.c if column.key not in ("metadata", "volume_record")),
    BACKUPS.c.metadata.label("extra"), STATUS.label("status"),
    _OPERATIONS.c.progress, sa.case((_HAS_HEIRS, 1), else_=0).label("has_heirs")).select_from(
    BACKUPS.outerjoin(_LOCKS, _LOCKS.c.resource_id == BACKUPS.c.id).outerjoin(
        _OPERATIONS, _OPERATIONS.c.id == _LOCKS.c.operation_id))
SORT_COLUMNS: Final[Mapping[str, Any]] = {
    "id": BACKUPS.c.id, "name": BACKUPS.c.name, "display_name": BACKUPS.c.name, "status": STATUS,
    "description": BACKUPS.c.description, "size": BACKUPS.c.size_gib, "volume_id": BACKUPS.c.volume_id,
    "created_at": BACKUPS.c.created_at, "updated_at": BACKUPS.c.updated_at, "data_timestamp": BACKUPS.c.data_at,
    "container": BACKUPS.c.container, "availability_zone": BACKUPS.c.zone, "snapshot_id": BACKUPS.c.snapshot_id,
    "object_count": BACKUPS.c.object_count, "project_id": BACKUPS.c.project_id}
_EQUAL: Final[Mapping[str, Any]] = {"name": BACKUPS.c.name, "status": STATUS, "container": BACKUPS.c.container,
                                    "availability_zone": BACKUPS.c.zone}
_BY_ID: Final[Mapping[str, Any]] = {"volume_id": BACKUPS.c.volume_id, "snapshot_id": BACKUPS.c.snapshot_id,
                                    "parent_id": BACKUPS.c.parent_id}


def not_found(backup_id: str) -> errors.NotFound:
    """Return the error for a backup that does not exist for the caller."""
    return errors.NotFound(f"Backup {backup_id[:80]} could not be found.", resource="backup", id=backup_id)


def find(session: orm.Session, context: RequestContext, backup_id: str) -> Any:
    """Return one backup's row; raises NotFound when it is gone or another project's."""
    query = _ROWS.where(BACKUPS.c.id == (ids.canonical(backup_id) or ""), BACKUPS.c.deleted_at.is_(None))
    if not context.is_admin:
        query = query.where(BACKUPS.c.project_id == context.project_id)
    row = session.execute(query).one_or_none()
    if row is None:
        raise not_found(backup_id)
    return row


def show(services: Services, context: RequestContext, backup_id: str, *, action: str = "backup:get") -> Any:
    """Return one backup's row under policy `action`; raises NotFound, Forbidden."""
    with services.db.reading() as session:
        row = find(session, context, backup_id)
    services.policy.check(context, action, volume_rows.target_of(row))
    return row


def list_backups(services: Services, context: RequestContext, query: RowQuery) -> RowPage:
    """Return a page; filters: name, status, container, availability_zone, volume_id, snapshot_id, parent_id,
    `name~`, `status~`."""
    services.policy.check(context, "backup:get_all")
    scope = [BACKUPS.c.deleted_at.is_(None)]
    if query.project_id is not None:
        scope.append(BACKUPS.c.project_id == query.project_id)
    conditions = [_condition(name, value) for name, value in query.filters.items()]
    with services.db.reading() as session:
        return read_page(session, RowSource(_ROWS, BACKUPS.c.id, scope, SORT_COLUMNS), query, conditions)


def _condition(name: str, value: str) -> Any:
    if name in _BY_ID:
        return _BY_ID[name] == (ids.canonical(value) or "")
    column = _EQUAL[name.rstrip("~")]
    return column.icontains(value, autoescape=True) if name.endswith("~") else column == value
