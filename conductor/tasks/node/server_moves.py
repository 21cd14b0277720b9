"""The task that has a server's volumes follow it from host to host."""

from __future__ import annotations

import functools
from collections.abc import Callable

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.attachments import attachments_of, connect, disconnect
from conductor.tasks.node.calls import tried
from conductor.tasks.records.migrations import migration_of
from conductor.tasks.records.notes import note_build_failure
from hostler import errors
from hostler.db.models import VolumeAttachment
from hostler.resources.volume import records as volume_records
from hostler.resources.volume.specs import ConnectorSpec


class MoveConnections(OperationTask):
    """Have the nodes of the server's volumes let its new host in, and the old one no longer: the guest is off.

    Revert: the same for the source of the move, where the server then is.
    """

    def __init__(self, *, back: bool = False, let_go: Callable[[Run, str], None] = disconnect) -> None:
        """`back`: it goes to the source; `let_go` ends a connection: `disconnect`, or `shut_out` of a host that may
        hold it open."""
        super().__init__()
        self._back = back
        self._let_go = let_go

    def execute(self) -> None:
        """Move each."""
        migration = migration_of(self.run)
        host = str(migration.source_host if self._back else migration.dest_host)
        try:
            for attachment_id in attachments_of(self.run):
                self._move(attachment_id, host)
        except errors.HostlerError as error:
            note_build_failure(self.run, error)
            raise

    def revert(self, **_: object) -> None:
        """Move back."""
        source = str(migration_of(self.run).source_host)
        for attachment_id in attachments_of(self.run):
            tried(f"server {self.run.resource_id} may not reach the volume of attachment {attachment_id}",
                  functools.partial(self._move, attachment_id, source))

    def _move(self, attachment_id: str, host: str) -> None:
        # One attachment has one connection: a node asked again for another host would answer with the first one's.
        self._let_go(self.run, attachment_id)
        connect(self.run, attachment_id, host)


def shut_out(run: Run, attachment_id: str) -> None:
    """Have the volume's node end a connection, even one that its host holds open and does not let go of."""
    with run.reading() as session:
        attachment = session.get_one(VolumeAttachment, attachment_id)
        place = volume_records.place_of_volume(session, attachment.volume_id)
        volume = volume_records.volume_spec(session, attachment.volume_id)
        connector = ConnectorSpec.from_wire({"host": "", **(attachment.connector or {})})
        connection_id = attachment.connected_as
    if place is None:
        raise errors.Conflict(reason=f"Volume {volume.id} is on no back end.")
    run.ask_node(place.node, run.cloud.volumes.shut_out_host, volume, connection_id, connector)
