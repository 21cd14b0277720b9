"""Tasks that ask a storage node to make, change and remove volumes."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import delete_at, delete_or_note, load_volume
from conductor.tasks.records import images
from conductor.tasks.records.holders import holders_of
from hostler import errors
from hostler.db.models import Image, Volume
from hostler.images.spec import image_spec
from hostler.operations import notes
from hostler.resources.volume.records import snapshot_spec, source_spec, volume_spec
from hostler.resources.volume.specs import VolumeSpec

# Over these an attached volume is a file that QEMU on the host grows itself; the node must not touch it.
_GROWN_BY_HOST = frozenset({"file"})


class CreateVolume(OperationTask):
    """Have the node make the volume. Revert: have it remove all of it."""

    default_provides = "made"

    def execute(self, choice: dict[str, Any], source: str | None) -> dict[str, Any]:
        """Return {"provider"}."""
        try:
            return create_volume(self.run, self.run.resource_id, choice["node"], source)
        except errors.AgentError as error:
            reason = str(error)
            self.run.write(lambda session: notes.write(session, self.run.held.id, notes.FAILURE, value=reason))
            raise

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Remove the volume; a node that stays silent is told when it reconciles."""
        delete_or_note(self.run, self.run.resource_id, choice["backend_id"])


def create_volume(run: Run, volume_id: str, node: str, source: str | None) -> dict[str, Any]:
    """Have `node` make a volume whose record names its back end already; returns {"provider"}."""
    with run.reading() as session:
        spec = volume_spec(session, volume_id)
        content = source_spec(session, run.conf, run.cloud.images, volume_id, source)
    ask = run.ask_node if source is None else run.ask_node_to_copy
    return ask(node, run.cloud.volumes.create_volume, spec, content)


class DeleteVolume(OperationTask):
    """Have the node remove the volume. Revert: nothing to undo, what is gone is gone."""

    def execute(self) -> None:
        """Remove it from where it is, and from where it was to go; a volume on no back end needs nothing.

        A node that stays silent fails the deletion: its data must not be forgotten.
        """
        volume_id = self.run.resource_id
        with self.run.reading() as session:
            row = session.execute(sa.select(Volume.backend_id, Volume.target_backend_id).where(
                Volume.id == volume_id)).one_or_none()
        for backend_id in row or ():
            if backend_id is not None:
                delete_at(self.run, volume_id, backend_id)


class ExtendOnNode(OperationTask):
    """Have the node grow the volume. Revert: nothing to undo, a volume does not shrink."""

    default_provides = "extended"

    def execute(self, size_gib: int) -> dict[str, Any]:
        """Return {"provider"}, or nothing when the volume's host grows it."""
        run = self.run
        holders = holders_of(run)
        if any(holder.protocol in _GROWN_BY_HOST for holder in holders):
            return {}
        spec, place = load_volume(run, run.resource_id)
        spec = dataclasses.replace(spec, attached=bool(holders))
        return run.ask_node(place.node, run.cloud.volumes.extend_volume, spec, size_gib)


class RevertVolume(OperationTask):
    """Have the node give the volume its snapshot's content. Revert: nothing to undo, the old content is gone."""

    default_provides = "reverted"

    def execute(self, snapshot_id: str) -> dict[str, Any]:
        """Return {"provider"}."""
        run = self.run
        spec, place = load_volume(run, run.resource_id)
        with run.reading() as session:
            snapshot = snapshot_spec(session, snapshot_id)
        return run.ask_node_to_copy(place.node, run.cloud.volumes.revert_volume, spec, snapshot)


class ReimageVolume(OperationTask):
    """Have the node give the volume an image's content. Revert: nothing to undo, the old content is gone."""

    default_provides = "reimaged"

    def execute(self, image_id: str) -> dict[str, Any]:
        """Return {"provider"}."""
        spec, place = load_volume(self.run, self.run.resource_id)
        return _reimage(self.run, place.node, spec, image_id)


class ReimageBootVolume(OperationTask):
    """As `ReimageVolume`, for the volume of a server that its host does not reach for that time."""

    default_provides = "reimaged"

    def execute(self, volume_id: str, image_id: str) -> dict[str, Any]:
        """Return {"provider"}."""
        spec, place = load_volume(self.run, volume_id)
        return _reimage(self.run, place.node, dataclasses.replace(spec, attached=False), image_id)


def _reimage(run: Run, node: str, volume: VolumeSpec, image_id: str) -> dict[str, Any]:
    with run.reading() as session:
        image = image_spec(session.get_one(Image, image_id), run.conf, run.cloud.images)
    return run.ask_node_to_copy(node, run.cloud.volumes.reimage_volume, volume, image)


class UploadVolume(OperationTask):
    """Have the node send the volume's content to the image store. Revert: nothing to undo, the volume is as it was."""

    def execute(self, image_id: str, disk_format: str) -> None:
        """Send it, and see that the image has it."""
        run = self.run
        spec, place = load_volume(run, run.resource_id)
        images.fill(run, image_id, disk_format, lambda upload: run.ask_node_to_copy(
            place.node, run.cloud.volumes.upload_volume, spec, upload))
