"""Reading backups: plain rows with the status derived in SQL, so that lists filter and sort by it."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backup, Lock, Operation
from hostler.query.fields import Field
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources.volume.status import BACKUP_WHILE

BACKUPS: Any = Backup.__table__
_LOCKS: Any = Lock.__table__
_OPERATIONS: Any = Operation.__table__
_HEIRS: Any = BACKUPS.alias("heirs")
STATUS: Final[Any] = sa.case(
    *((_LOCKS.c.kind == kind, status) for kind, status in BACKUP_WHILE.items()), else_=BACKUPS.c.state)
_HAS_HEIRS = sa.exists().where(_HEIRS.c.parent_id == BACKUPS.c.id, _HEIRS.c.deleted_at.is_(None)).correlate(BACKUPS)
BACKUP: Final = declare(Backup, {"status": Field(STATUS)}, source=BACKUPS.outerjoin(
    _LOCKS, _LOCKS.c.resource_id == BACKUPS.c.id).outerjoin(_OPERATIONS, _OPERATIONS.c.id == _LOCKS.c.operation_id))
_ROWS = sa.select(
    *(column for column in BACKUPS.c if column.key not in ("metadata", "volume_record")),
    BACKUPS.c.metadata.label("extra"), STATUS.label("status"), _OPERATIONS.c.progress,
    sa.case((_HAS_HEIRS, 1), else_=0).label("has_heirs")).select_from(BACKUP.source)


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


def list_backups(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of `find`'s rows; raises NotFound for an unknown marker."""
    services.policy.check(context, "backup:get_all")
    scope = [BACKUPS.c.deleted_at.is_(None)]
    if query.project_id is not None:
        scope.append(BACKUPS.c.project_id == query.project_id)
    with services.db.reading() as session:
        return read_page(session, BACKUP, query, scope, selection=_ROWS)
