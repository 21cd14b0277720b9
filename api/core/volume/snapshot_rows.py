"""The rows of snapshots, with the status derived in SQL (see `copies`)."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from hostler.db.models import Lock, Operation, Snapshot
from hostler.operations.kinds import volume as kinds
from hostler.query.fields import Field
from hostler.query.resources import declare
from hostler.resources.volume import states
from hostler.resources.volume.status import SHOWN, SNAPSHOT_WHILE

SNAPSHOTS: Any = Snapshot.__table__
_LOCKS: Any = Lock.__table__
_OPERATIONS: Any = Operation.__table__
_LEAVING: Final = sa.func.coalesce(_LOCKS.c.kind, "").in_((kinds.DELETE_SNAPSHOT.name, kinds.DELETE.name))
STATUS: Final[Any] = sa.case(
    (sa.and_(SNAPSHOTS.c.state == states.CREATING, sa.not_(_LEAVING)), states.CREATING),
    *((_LOCKS.c.kind == kind, status) for kind, status in SNAPSHOT_WHILE.items()),
    *((SNAPSHOTS.c.state == state, status) for state, status in SHOWN.items()), else_=SNAPSHOTS.c.state)
_COLUMNS = [column for column in SNAPSHOTS.c if column.key not in ("metadata", "provider", "volume_record")]
SNAPSHOT: Final = declare(Snapshot, {"status": Field(STATUS)}, source=SNAPSHOTS.outerjoin(
    _LOCKS, _LOCKS.c.resource_id == SNAPSHOTS.c.id).outerjoin(_OPERATIONS, _OPERATIONS.c.id == _LOCKS.c.operation_id))
ROWS: Final = sa.select(*_COLUMNS, SNAPSHOTS.c.metadata.label("extra"), STATUS.label("status"),
                  _OPERATIONS.c.progress).select_from(SNAPSHOT.source)
