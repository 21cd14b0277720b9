"""Tasks that move a volume nobody uses to other storage (retype, migrate).

Until the records are switched the source is the volume and everything is undone by removing the copy. The switch is
one transaction; from there on the copy is the volume, nothing goes back, and the source counts as left behind until it
is removed, by this operation or by its node's reconciliation.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.node.calls import delete_at, delete_or_note, load_place, tried
from hostler.db.models import Volume
from hostler.operations import notes
from hostler.resources.volume.records import Place, volume_spec
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SourceSpec

# What a node reports of itself, once, in the capabilities of its back ends: how it reaches volumes of others.
_CONNECTOR = "connector"


class _MoveTask(OperationTask):
    """A step of a move; does nothing for a volume that stays."""

    weight = 0

    def execute(self, choice: dict[str, Any]) -> Any:
        """Move on, unless the volume stays."""
        return None if choice["stays"] else self._move(choice)

    def _move(self, choice: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _has_moved(self, choice: dict[str, Any]) -> bool:
        with self.run.reading() as session:
            found = session.scalar(sa.select(Volume.backend_id).where(Volume.id == self.run.resource_id))
        return bool(found == choice["backend_id"])


class ClearTarget(_MoveTask):
    """Have the target forget an old copy that an earlier move left there. Revert: nothing to undo."""

    def _move(self, choice: dict[str, Any]) -> None:
        delete_at(self.run, self.run.resource_id, choice["backend_id"])


class ConnectSource(_MoveTask):
    """Have the source let the target's node read the volume. Revert: end that."""

    def _move(self, choice: dict[str, Any]) -> None:
        _connect(self.run, choice)

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Disconnect; a connection that is left ends when its node reconciles."""
        if not choice["stays"]:
            disconnect_source(self.run, choice)


class CopyVolume(_MoveTask):
    """Have the target make the volume from the source. Revert: have it remove the copy, unless that is the volume."""

    default_provides = "moved"
    weight = 1

    def _move(self, choice: dict[str, Any]) -> dict[str, Any]:
        run, node = self.run, choice["node"]
        connection = _connect(run, choice)  # asked again rather than kept in the records: it may hold secrets
        with run.reading() as session:
            spec = volume_spec(session, run.resource_id, backend=choice["backend"])
        return run.ask_node_to_copy(node, run.cloud.volumes.create_volume, spec, SourceSpec(connection=connection))

    def revert(self, choice: dict[str, Any], **_: Any) -> None:
        """Remove the copy."""
        if not choice["stays"] and not self._has_moved(choice):
            delete_or_note(self.run, self.run.resource_id, choice["backend_id"])


class DisconnectSource(_MoveTask):
    """Have the source end the copy's connection. Revert: nothing to undo."""

    def _move(self, choice: dict[str, Any]) -> None:
        disconnect_source(self.run, choice)


class RemoveSource(_MoveTask):
    """Have the source remove what was the volume. Revert: nothing to undo; the switch noted that it may be left."""

    def _move(self, choice: dict[str, Any]) -> None:
        if self._has_moved(choice):
            tried(f"volume {self.run.resource_id} may be left on back end {choice['source_id']}",
                  lambda: self._remove(choice["source_id"]))

    def _remove(self, source_id: str) -> None:
        delete_at(self.run, self.run.resource_id, source_id)
        self.run.write(lambda session: notes.erase(session, self.run.held.id, notes.LEFT_ON, key=source_id))


def _connect(run: Run, choice: dict[str, Any]) -> ConnectionSpec:
    source, target = load_place(run, choice["source_id"]), load_place(run, choice["backend_id"])
    with run.reading() as session:
        spec = volume_spec(session, run.resource_id)
    return run.ask_node(source.node, run.cloud.volumes.connect_volume, spec, run.held.id, _connector(target), True)


def _connector(target: Place) -> ConnectorSpec:
    return ConnectorSpec.from_wire({**(target.capabilities.get(_CONNECTOR) or {}), "host": target.node, "shares": {}})


def disconnect_source(run: Run, choice: dict[str, Any]) -> None:
    """End the connection of a copy at the volume's former (or present) back end, if that can be done."""
    source = load_place(run, choice["source_id"])
    with run.reading() as session:
        spec = volume_spec(session, run.resource_id, backend=source.backend)
    tried(f"volume {run.resource_id} may stay exported at {source.node}@{source.backend} until that reconciles",
          lambda: run.ask_node(source.node, run.cloud.volumes.disconnect_volume, spec, run.held.id))
