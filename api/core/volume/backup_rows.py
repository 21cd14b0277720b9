"""The rows of backups, with the status derived in SQL (see `copies`)."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from hostler.db.models import Backup, Lock, Operation
from hostler.query.fields import Field
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
ROWS: Final = sa.select(
    *(column for column in BACKUPS.c if column.key not in ("metadata", "volume_record")),
    BACKUPS.c.metadata.label("extra"), STATUS.label("status"), _OPERATIONS.c.progress,
    sa.case((_HAS_HEIRS, 1), else_=0).label("has_heirs")).select_from(BACKUP.source)
