"""snapshot.create and snapshot.delete: one call to the node of the snapshot's volume.

1. CreateSnapshot   the node keeps the present content (revert: it removes the snapshot)
1. DeleteSnapshot   the node removes it (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Cancelled, Run
from conductor.tasks.node.snapshots import CreateSnapshot, DeleteSnapshot
from hostler import clock
from hostler.db.models import Snapshot, Volume
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import backend_claims
from hostler.resources.volume import states as volume_states


def _build_create(run: Run) -> linear_flow.Flow:
    return linear_flow.Flow("snapshot.create").add(CreateSnapshot(run))


def _created(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    _update(session, run, state=volume_states.READY, provider=results["made"]["provider"], fault=None)


def _not_created(session: orm.Session, run: Run, failure: Failure) -> None:
    """Nothing is left; cancelled for a deletion it just waits for that."""
    if failure.code != Cancelled.code:
        _update(session, run, state=volume_states.ERROR, fault=fault_of(failure))


def _build_delete(run: Run) -> linear_flow.Flow:
    return linear_flow.Flow("snapshot.delete").add(DeleteSnapshot(run))


def _deleted(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    _update(session, run, state=volume_states.DELETED, deleted_at=clock.utcnow())
    backend_claims.touch(session, session.scalars(
        sa.select(Volume.backend_id).join(Snapshot, Snapshot.volume_id == Volume.id).where(
            Snapshot.id == run.resource_id)))


def _not_deleted(session: orm.Session, run: Run, failure: Failure) -> None:
    _update(session, run, state=volume_states.ERROR_DELETING, fault=fault_of(failure))


def _update(session: orm.Session, run: Run, **values: Any) -> None:
    session.execute(sa.update(Snapshot).where(Snapshot.id == run.resource_id).values(**values))


CREATE = Procedure(kinds.CREATE_SNAPSHOT, _build_create, _created, _not_created)
DELETE = Procedure(kinds.DELETE_SNAPSHOT, _build_delete, _deleted, _not_deleted)
