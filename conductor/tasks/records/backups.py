"""The task that writes where a backup goes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import load_volume
from hostler import clock, errors
from hostler.db.models import Backup, Snapshot
from hostler.resources.volume.records import Place


class AssignStore(OperationTask):
    """Write into the backup's record which store and node it goes to. Revert: nothing to undo, it is removed there."""

    default_provides = "store"
    weight = 0

    def execute(self) -> str:
        """Return the store: what the volume's node reaches."""
        backup = backup_of(self.run)
        _, place = load_volume(self.run, backup.volume_id)
        store = store_of(place)
        with self.run.reading() as session:
            snapshot = session.get(Snapshot, backup.snapshot_id) if backup.snapshot_id else None
        data_at = clock.utcnow() if snapshot is None else snapshot.created_at

        def work(session: orm.Session) -> None:
            session.execute(sa.update(Backup).where(Backup.id == backup.id).values(
                store=store, node=place.node, zone=place.zone, data_at=data_at))

        self.run.write(work)
        return store


def backup_of(run: Run) -> Any:
    """Return the id, volume, snapshot, store and node of the run's backup."""
    with run.reading() as session:
        return session.execute(sa.select(Backup.id, Backup.volume_id, Backup.snapshot_id, Backup.store, Backup.node)
                               .where(Backup.id == run.resource_id)).one()


def store_of(place: Place) -> str:
    """Return the backup store that a place's node reaches; raises Conflict when there is none."""
    if place.backup_store is None:
        raise errors.Conflict(reason=f"Storage node {place.node} has no backup store.")
    return place.backup_store
