"""Tasks that ask a storage node to let a server's host reach a volume, and to end that.

Each works on attachments, whose rows say what is promised; `connection` in a row says that the node lets the host in.
A node that stayed silent is told by its reconciliation to remove what has no attachment.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.servers import host_of
from conductor.tasks.node.calls import tried
from conductor.tasks.records.notes import note_build_failure
from hostler import errors
from hostler.db.models import Host, Volume, VolumeAttachment
from hostler.resources.volume import records as volume_records
from hostler.resources.volume.specs import ConnectorSpec

LOG = logging.getLogger(__name__)


class ConnectVolume(OperationTask):
    """Have the volume's node let the server's host reach it. Revert: end that."""

    def execute(self, attachment_id: str) -> None:
        """Connect; a server on no host needs nothing yet."""
        host = host_of(self.run)
        if host is not None:
            connect(self.run, attachment_id, host)

    def revert(self, attachment_id: str, **_: Any) -> None:
        """Disconnect; a node that cannot ends it when it reconciles, once the attachment is gone."""
        tried(f"attachment {attachment_id} may stay exported until its node reconciles",
              lambda: disconnect(self.run, attachment_id))


class DisconnectVolume(OperationTask):
    """Have the volume's node stop letting the host in. Revert: it lets the host in again, the volume stays attached."""

    def execute(self, attachment_id: str) -> None:
        """Disconnect; the row keeps the connection until the operation's end removes it."""
        disconnect(self.run, attachment_id, keep=True)

    def revert(self, attachment_id: str, **_: Any) -> None:
        """Connect, since it may have been done however it failed."""
        host = host_of(self.run)
        if host is not None:
            tried(f"server {self.run.resource_id} may not reach the volume of attachment {attachment_id}",
                  lambda: connect(self.run, attachment_id, host))


class ConnectVolumes(OperationTask):
    """Have the nodes of all of a new server's volumes let its host reach them. Revert: end that."""

    def execute(self, choice: dict[str, Any]) -> None:
        """Connect."""
        try:
            for attachment_id in attachments_of(self.run):
                connect(self.run, attachment_id, choice["host"])
        except errors.HostlerError as error:
            note_build_failure(self.run, error)
            raise

    def revert(self, **_: Any) -> None:
        """Disconnect; a node that cannot ends it when it reconciles, once the attachments are gone."""
        for attachment_id in attachments_of(self.run):
            tried(f"attachment {attachment_id} may stay exported until its node reconciles",
                  functools.partial(disconnect, self.run, attachment_id))


class DisconnectVolumes(OperationTask):
    """Have the nodes of a deleted server's volumes stop letting its host in. Revert: nothing to undo."""

    def execute(self) -> None:
        """Disconnect; a node that cannot ends it when it reconciles, once the attachments are gone."""
        for attachment_id in attachments_of(self.run):
            tried(f"attachment {attachment_id} of deleted server {self.run.resource_id} is left to its node's "
                  "reconciliation", functools.partial(disconnect, self.run, attachment_id, keep=True))


def attachments_of(run: Run) -> list[str]:
    """Return the ids of the attachments of the run's server, in a fixed order."""
    with run.reading() as session:
        return list(session.scalars(sa.select(VolumeAttachment.id).where(
            VolumeAttachment.server_id == run.resource_id).order_by(VolumeAttachment.id)))


def connect(run: Run, attachment_id: str, host: str) -> None:
    """Have the volume's node let `host` in, and keep how. Asked again, the node answers the same."""
    _keep(run, attachment_id, **ask_to_connect(run, attachment_id, host))


def ask_to_connect(run: Run, attachment_id: str, host: str, connection_id: str | None = None) -> dict[str, Any]:
    """Have the volume's node let `host` in; returns {"connection", "connector"} as the row keeps them.

    A `connection_id` makes it a second connection, beside the current one.
    """
    with run.reading() as session:
        attachment = session.get_one(VolumeAttachment, attachment_id)
        current = attachment.connected_as
        known = session.scalar(sa.select(Host.connector).where(Host.name == host)) or {}
        connector = ConnectorSpec.from_wire({**known, "host": host})
        volume = volume_records.volume_spec(session, attachment.volume_id)
        place = volume_records.place_of_volume(session, attachment.volume_id)
        readonly = attachment.mode == "ro" or session.get_one(Volume, attachment.volume_id).readonly
    if place is None:
        raise errors.Conflict(reason=f"Volume {volume.id} is on no back end.")
    connection = run.ask_node(place.node, run.cloud.volumes.connect_volume, volume, connection_id or current, connector,
                              readonly, beside=None if connection_id is None else current)
    if connection.protocol == "file" and not str(connection.data.get("path")).startswith(f"volume-{volume.id}"):
        # The host may see a directory that this node does not: a node must not hand out other nodes' volumes.
        raise errors.AgentError(reason=f"Storage node {place.node} named another file than volume {volume.id}.")
    return {"connection": dataclasses.replace(connection, limits=volume.limits).to_wire(),
            "connector": connector.to_wire()}


def disconnect(run: Run, attachment_id: str, *, keep: bool = False) -> None:
    """Have the volume's node end a connection; `keep` leaves it in the row, for an end that removes the row.

    Fine when there is none, also of a row or a node that is gone.
    """
    end_connection(run, attachment_id)
    if not keep:
        _keep(run, attachment_id, connection={}, connector={})


def end_connection(run: Run, attachment_id: str, connection_id: str | None = None) -> None:
    """Have the volume's node end one connection of an attachment, the current one by default; the row stays."""
    with run.reading() as session:
        attachment = session.get(VolumeAttachment, attachment_id)
        place = volume_records.place_of_volume(session, attachment.volume_id) if attachment is not None else None
        if attachment is None or place is None:
            return
        volume = volume_records.volume_spec(session, attachment.volume_id)
        ended = connection_id or attachment.connected_as
    try:
        run.ask_node(place.node, run.cloud.volumes.disconnect_volume, volume, ended)
    except errors.HostUnreachable:
        LOG.warning("volume %s may be exported as %s by silent node %s until that reconciles", volume.id, ended,
                    place.node)


def _keep(run: Run, attachment_id: str, **values: Any) -> None:
    run.write(lambda session: session.execute(
        sa.update(VolumeAttachment).where(VolumeAttachment.id == attachment_id).values(**values)))
