"""The task that takes a server's volumes from a host that is down to another."""

from __future__ import annotations

import functools
from typing import Any

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of
from conductor.tasks.node.attachments import attachments_of, connect
from conductor.tasks.node.calls import tried
from conductor.tasks.records.notes import note_build_failure
from hostler import errors
from hostler.db.models import VolumeAttachment
from hostler.resources.volume import records as volume_records
from hostler.resources.volume.specs import ConnectorSpec


class MoveVolumes(OperationTask):
    """Have the nodes of the server's volumes shut its old host out and let the new one in.

    Revert: let the old host in again, which is where the server then is.
    """

    def execute(self, choice: dict[str, Any]) -> None:
        """Move each; a node that stays silent fails the evacuation, since the old host may still reach the volume."""
        try:
            for attachment_id in attachments_of(self.run):
                shut_out(self.run, attachment_id)
                connect(self.run, attachment_id, choice["host"])
        except errors.HostlerError as error:
            note_build_failure(self.run, error)
            raise

    def revert(self, **_: Any) -> None:
        """Let it in."""
        host = host_of(self.run)
        for attachment_id in attachments_of(self.run) if host is not None else ():
            tried(f"server {self.run.resource_id} may not reach the volume of attachment {attachment_id}",
                  functools.partial(_restore, self.run, attachment_id, str(host)))


def shut_out(run: Run, attachment_id: str) -> None:
    """Have the volume's node end a connection, even one that its host holds open and does not let go of."""
    with run.reading() as session:
        attachment = session.get_one(VolumeAttachment, attachment_id)
        place = volume_records.place_of_volume(session, attachment.volume_id)
        volume = volume_records.volume_spec(session, attachment.volume_id)
        connector = ConnectorSpec.from_wire({"host": "", **(attachment.connector or {})})
    if place is None:
        raise errors.Conflict(reason=f"Volume {volume.id} is on no back end.")
    run.ask_node(place.node, run.cloud.volumes.shut_out_host, volume, attachment_id, connector)


def _restore(run: Run, attachment_id: str, host: str) -> None:
    shut_out(run, attachment_id)  # the new host
    connect(run, attachment_id, host)
