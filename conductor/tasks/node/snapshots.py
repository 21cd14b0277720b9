"""Tasks that ask a storage node for snapshots."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import load_volume, tried
from conductor.tasks.records import images
from hostler import errors
from hostler.db.models import Server, Snapshot, Volume
from hostler.resources.server import states
from hostler.resources.volume.records import snapshot_spec


class CreateSnapshot(OperationTask):
    """Have the node keep the volume's present content. Revert: have it remove the snapshot."""

    default_provides = "made"

    def execute(self) -> dict[str, Any]:
        """Return {"provider"}."""
        run = self.run
        with run.reading() as session:
            snapshot = snapshot_spec(session, run.resource_id)
        volume, place = load_volume(run, snapshot.volume_id)
        return run.ask_node_to_copy(place.node, run.cloud.volumes.create_snapshot, snapshot, volume)

    def revert(self, **_: Any) -> None:
        """Remove it; what a silent node keeps goes with the snapshot's deletion."""
        tried(f"snapshot {self.run.resource_id} may be left until it is deleted",
              lambda: delete_snapshot(self.run, self.run.resource_id))


class SnapshotVolumes(OperationTask):
    """Have the nodes keep the present content of several volumes. Revert: have them remove all these snapshots."""

    def execute(self, image_id: str, snapshot_ids: tuple[str, ...]) -> None:
        """Snapshot one by one; a snapshot that is there stays as it is. Fails when the image was deleted."""
        for snapshot_id in snapshot_ids:
            _snapshot_in_server(self.run, snapshot_id)
        if not images.is_wanted(self.run, image_id):
            raise errors.AgentError(reason=f"Image {image_id} was deleted before it was made.")

    def revert(self, snapshot_ids: tuple[str, ...], **_: Any) -> None:
        """Remove them; what a silent node keeps is removed when it reconciles, once the records are gone."""
        for snapshot_id in snapshot_ids:
            tried(f"snapshot {snapshot_id} may be left until its node reconciles",
                  functools.partial(delete_snapshot, self.run, snapshot_id))


class DeleteSnapshot(OperationTask):
    """Have the node remove the snapshot. Revert: nothing to undo, what is gone is gone."""

    def execute(self) -> None:
        """Remove it; a node that stays silent fails the deletion."""
        delete_snapshot(self.run, self.run.resource_id)


class DeleteSnapshots(OperationTask):
    """Have the node remove all snapshots of the volume. Revert: nothing to undo."""

    weight = 0

    def execute(self) -> None:
        """Remove them one by one, the newest first."""
        with self.run.reading() as session:
            found = session.scalars(sa.select(Snapshot.id).where(
                Snapshot.volume_id == self.run.resource_id, Snapshot.deleted_at.is_(None))
                .order_by(Snapshot.created_at.desc(), Snapshot.id)).all()
        for snapshot_id in found:
            delete_snapshot(self.run, snapshot_id)


def _snapshot_in_server(run: Run, snapshot_id: str) -> None:
    """Have a volume of the run's server kept in a snapshot, and write what the node says of it."""
    with run.reading() as session:
        snapshot = snapshot_spec(session, snapshot_id)
        off = session.get_one(Server, run.resource_id).vm_state == states.STOPPED
    volume, place = load_volume(run, snapshot.volume_id)
    # A file that only a guest opens is not in use while the guest is off, which it stays: the server is locked.
    at_rest = off and not place.capabilities.get("online_snapshot")
    made = run.ask_node_to_copy(place.node, run.cloud.volumes.create_snapshot, snapshot,
                                dataclasses.replace(volume, attached=volume.attached and not at_rest))
    run.write(lambda session: session.execute(
        sa.update(Snapshot).where(Snapshot.id == snapshot_id).values(provider=made["provider"])))


def delete_snapshot(run: Run, snapshot_id: str) -> None:
    """Have a snapshot removed; one whose volume is on no back end is nowhere."""
    with run.reading() as session:
        snapshot = snapshot_spec(session, snapshot_id)
        if session.scalar(sa.select(Volume.backend_id).where(Volume.id == snapshot.volume_id)) is None:
            return
    volume, place = load_volume(run, snapshot.volume_id)
    run.ask_node(place.node, run.cloud.volumes.delete_snapshot, snapshot, volume)
