"""Tasks that ask a storage node to export a volume to a client outside of our servers (Block Storage attachments)."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import load_volume, tried
from hostler import errors
from hostler.db.models import Volume, VolumeAttachment
from hostler.resources.volume.specs import ConnectorSpec


class ConnectAttachment(OperationTask):
    """Have the node let the attachment's connector reach the volume, and keep how. Revert: end that."""

    def execute(self, attachment_id: str) -> None:
        """Connect; what the node says goes into the attachment's record alone: it may hold secrets."""
        run = self.run
        with run.reading() as session:
            row = session.execute(sa.select(VolumeAttachment.connector, VolumeAttachment.mode, Volume.readonly)
                                  .join(Volume, Volume.id == VolumeAttachment.volume_id)
                                  .where(VolumeAttachment.id == attachment_id)).one_or_none()
        if row is None:
            raise errors.NotFound(resource="Attachment", id=attachment_id)
        spec, place = load_volume(run, run.resource_id)
        connector = ConnectorSpec.from_wire({"host": "", **(row.connector or {})})
        connection = run.ask_node(place.node, run.cloud.volumes.connect_volume, spec, attachment_id, connector,
                                  row.readonly or row.mode == "ro")
        keep_connection(run, attachment_id, dataclasses.replace(connection, limits=spec.limits).to_wire())

    def revert(self, attachment_id: str, **_: Any) -> None:
        """Disconnect; a connection that is left ends when the attachment is deleted."""
        run = self.run
        tried(f"volume {run.resource_id} may stay exported for attachment {attachment_id}",
              lambda: disconnect(run, run.resource_id, attachment_id))
        keep_connection(run, attachment_id, {})


class DisconnectAttachment(OperationTask):
    """Have the node end the attachment's connection. Revert: nothing to undo, the attachment stays to be deleted."""

    def execute(self, attachment_id: str) -> None:
        """Disconnect; a node that stays silent fails the deletion, for the volume may still be reached."""
        disconnect(self.run, self.run.resource_id, attachment_id)


def keep_connection(run: Run, attachment_id: str, connection: dict[str, Any]) -> None:
    """Write how an attachment reaches its volume."""
    run.write(lambda session: session.execute(sa.update(VolumeAttachment).where(
        VolumeAttachment.id == attachment_id).values(connection=connection)))


def disconnect(run: Run, volume_id: str, attachment_id: str) -> None:
    """End one connection of a volume; fine when there is none, or when the volume is on no back end."""
    with run.reading() as session:
        if session.scalar(sa.select(Volume.backend_id).where(Volume.id == volume_id)) is None:
            return
    spec, place = load_volume(run, volume_id)
    run.ask_node(place.node, run.cloud.volumes.disconnect_volume, spec, attachment_id)
