"""Tasks that ask a storage node to copy a volume to a backup store and back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import load_volume, tried
from conductor.tasks.records.backups import backup_of, store_of
from hostler import errors
from hostler.db.models import VolumeNode
from hostler.resources.volume.records import backup_spec, snapshot_spec


class CreateBackup(OperationTask):
    """Have the volume's node copy it (or its snapshot) to the store. Revert: have it remove the copy."""

    default_provides = "made"

    def execute(self, store: str) -> dict[str, Any]:
        """Return {"stored_bytes", "object_count"}."""
        run, row = self.run, backup_of(self.run)
        volume, place = load_volume(run, row.volume_id)
        with run.reading() as session:
            backup = backup_spec(session, row.id, store=store)
            snapshot = snapshot_spec(session, row.snapshot_id) if row.snapshot_id else None
        return run.ask_node_to_copy(place.node, run.cloud.volumes.create_backup, backup, volume, snapshot)

    def revert(self, **_: Any) -> None:
        """Remove it; what a silent node keeps goes with the backup's deletion."""
        tried(f"backup {self.run.resource_id} may be left until it is deleted", lambda: _delete(self.run))


class DeleteBackup(OperationTask):
    """Have a node of the store remove the backup. Revert: nothing to undo, what is gone is gone."""

    def execute(self) -> None:
        """Remove it; a store that no node reaches fails the deletion."""
        _delete(self.run)


class RestoreBackup(OperationTask):
    """Have the volume's node give it the backup's content. Revert: nothing to undo, the old content is gone."""

    default_provides = "restored"

    def execute(self, volume_id: str) -> dict[str, Any]:
        """Return {"provider"}."""
        run = self.run
        volume, place = load_volume(run, volume_id)
        with run.reading() as session:
            backup = backup_spec(session, run.resource_id)
        if store_of(place) != backup.store:
            raise errors.Conflict(reason=f"The node of volume {volume.id} does not reach the store of backup "
                                         f"{backup.id}.")
        return run.ask_node_to_copy(place.node, run.cloud.volumes.restore_backup, backup, volume)


def _delete(run: Run) -> None:
    row = backup_of(run)
    if row.store is None:  # it never got to a store
        return
    node = _node_of_store(run, row.store, row.node)
    with run.reading() as session:
        backup = backup_spec(session, row.id)
    run.ask_node(node, run.cloud.volumes.delete_backup, backup)


def _node_of_store(run: Run, store: str, preferred: str | None) -> str:
    """Return the node to ask for what is in the store: one that is up, else the one that was up last.

    That one is asked, too, so that an unreachable broker is not taken for a silent node.
    """
    since = run.now() - dt.timedelta(seconds=run.conf.service_down_time)
    with run.reading() as session:
        nodes = session.execute(sa.select(VolumeNode.name, VolumeNode.last_seen_at).where(
            VolumeNode.backup_store == store).order_by(VolumeNode.last_seen_at.desc())).all()
    if not nodes:
        run.wait_for_help("backup store", errors.NodeUnreachable(
            host=preferred or "of the backup store", waited_s=int(run.patience_s)))
    up = [str(row.name) for row in nodes if row.last_seen_at is not None and row.last_seen_at >= since]
    return next((name for name in up if name == preferred), str((up or [nodes[0].name])[0]))
