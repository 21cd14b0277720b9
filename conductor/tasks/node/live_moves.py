"""Tasks that connect both hosts of a live migration to the server's volumes while the guest is on its way.

The target gets connections of its own beside the source's: until the last moment the guest writes through those. Which
ones stay is decided in the transaction that says where the server is (`conductor.tasks.records.live_migration.land`).
A node that stayed silent ends what belongs to no attachment when it reconciles.
"""

from __future__ import annotations

import dataclasses
import functools
import uuid
from collections.abc import Mapping
from typing import Any

from conductor.run import Run
from conductor.tasks.base import OperationTask, failed
from conductor.tasks.node.attachments import ask_to_connect, attachments_of, end_connection
from conductor.tasks.node.calls import tried
from conductor.tasks.records.live_migration import has_landed
from hostler.db.models import VolumeAttachment
from hostler.resources.server.specs import AttachedSpec, ServerSpec
from hostler.resources.volume.specs import ConnectionSpec

# By attachment: {"id", "left" (the source's connection), "connection", "connector"}.
Connections = Mapping[str, dict[str, Any]]


class ConnectTarget(OperationTask):
    """Have the nodes of the server's volumes let the target in beside the source. Revert: end that; where the guest
    has landed, the source's connections."""

    default_provides = "connections"
    weight = 0

    def execute(self, choice: dict[str, Any]) -> Connections:
        """Connect."""
        return {attachment_id: self._connect(attachment_id, choice["host"])
                for attachment_id in attachments_of(self.run)}

    def revert(self, result: Any, **_: Any) -> None:
        """Disconnect."""
        with self.run.reading() as session:
            landed = has_landed(session, self.run)
        if landed and not failed(result):
            end_source_connections(self.run, result)
            return
        for attachment_id in attachments_of(self.run):
            _end(self.run, attachment_id, _second_id(self.run, attachment_id))

    def _connect(self, attachment_id: str, host: str) -> dict[str, Any]:
        second = _second_id(self.run, attachment_id)
        with self.run.reading() as session:
            left = session.get_one(VolumeAttachment, attachment_id).connected_as
        return {"id": second, "left": left, **ask_to_connect(self.run, attachment_id, host, second)}


class DisconnectSource(OperationTask):
    """Have the nodes end the connections of the host that the guest has left. Revert: nothing to undo."""

    weight = 0
    no_return = True

    def execute(self, connections: Connections) -> None:
        """Disconnect."""
        end_source_connections(self.run, connections)


def end_source_connections(run: Run, connections: Connections) -> None:
    """End the connections that the target's have replaced."""
    for attachment_id, kept in connections.items():
        _end(run, attachment_id, kept["left"])


def at_target(server: ServerSpec, connections: Connections | None) -> ServerSpec:
    """Return a server's spec with the target's connections."""
    def moved(volume: AttachedSpec) -> AttachedSpec:
        kept = (connections or {}).get(volume.attachment_id)
        return volume if kept is None else dataclasses.replace(
            volume, connection=ConnectionSpec.from_wire(kept["connection"]))

    return dataclasses.replace(server, volumes=tuple(moved(volume) for volume in server.volumes))


def _end(run: Run, attachment_id: str, connection_id: str) -> None:
    tried(f"connection {connection_id} of attachment {attachment_id} may stay until its node reconciles",
          functools.partial(end_connection, run, attachment_id, connection_id))


def _second_id(run: Run, attachment_id: str) -> str:
    """Return the same id each time: a task that was interrupted knows what it may have made."""
    return str(uuid.uuid5(uuid.UUID(run.held.id), attachment_id))
