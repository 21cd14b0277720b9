"""Tasks that move a volume nobody uses to other storage (retype, migrate).

Until the records are switched the source is the volume and everything is undone by removing the copy. The switch is
one transaction; from there on the copy is the volume, nothing goes back, and the source counts as left behind until it
is removed, by this operation or by its node's reconciliation.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.volume_nodes import (
    delete_at,
    delete_or_note,
    load_place,
    tried,
)
from conductor.tasks.volume_placement import extra_specs_of
from hostler import errors
from hostler.db.models import Snapshot, Volume, VolumeAttachment
from hostler.operations import notes
from hostler.resources.volume import backend_claims
from hostler.resources.volume.records import Place, volume_spec
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SourceSpec
from scheduler.rpcapi import BackendRequest

NEVER = "never"
# What a node reports of itself, once, in the capabilities of its back ends: how it reaches volumes of others.
_CONNECTOR = "connector"


class ChooseTarget(OperationTask):
    """Have the scheduler say whether the volume must move, and claim where to. Revert: release that claim."""

    default_provides = "choice"
    weight = 0

    def execute(self, backend_id: str | None = None, volume_type_id: str | None = None,
                migration_policy: str | None = None, multiattach: bool | None = None) -> dict[str, Any]:
        """Return the target as {"backend_id", "node", "backend", "zone"} with "source_id"; "stays" when it is where
        the volume is.

        A migration names the back end (or None), a retype the rest.
        """
        with self.run.reading() as session:
            volume = _movable(session, self.run.resource_id)
            stays = migration_policy == NEVER
            request = _request(session, volume, backend_id=volume.backend_id if stays else backend_id,
                               volume_type_id=volume_type_id, multiattach=multiattach)
            source_id = session.scalar(sa.select(Volume.backend_id).where(Volume.id == self.run.resource_id))
        choice = self.run.ask_for_backend(request).to_wire()
        stays = choice["backend_id"] == source_id
        if not stays:
            with self.run.reading() as session:
                _check_movable(session, self.run.resource_id)
        return {**choice, "source_id": source_id, "stays": stays}

    def revert(self, **_: Any) -> None:
        """Release."""
        self.run.write(lambda session: end_move(session, self.run))


def end_move(session: orm.Session, run: Run) -> None:
    """Give up the volume's second claim, if any: its target, or after the switch its source."""
    row = session.execute(sa.select(Volume.backend_id, Volume.target_backend_id).where(
        Volume.id == run.resource_id)).one_or_none()
    if row is None or row.target_backend_id is None:
        return
    session.execute(sa.update(Volume).where(Volume.id == run.resource_id).values(target_backend_id=None))
    backend_claims.touch(session, row)


def _movable(session: orm.Session, volume_id: str) -> Volume:
    volume = session.get_one(Volume, volume_id)
    if volume.backend_id is None:
        raise errors.Conflict(reason=f"Volume {volume.id} is on no back end.")
    return volume


def _request(session: orm.Session, volume: Volume, *, backend_id: str | None, volume_type_id: str | None,
             multiattach: bool | None) -> BackendRequest:
    return BackendRequest(
        volume_id=volume.id, extra_specs=extra_specs_of(session, volume_type_id or volume.volume_type_id),
        backend_id=backend_id, moving=True, may_stay=volume_type_id is not None,
        multiattach=volume.multiattach if multiattach is None else multiattach,
        zone=volume.zone if backend_id is None else None)  # an administrator may name a back end of another zone


def _check_movable(session: orm.Session, volume_id: str) -> None:
    if session.scalar(sa.select(VolumeAttachment.id).where(VolumeAttachment.volume_id == volume_id).limit(1)):
        raise errors.Conflict(reason=f"Volume {volume_id} is attached and cannot move to another back end.")
    if session.scalar(sa.select(Snapshot.id).where(Snapshot.volume_id == volume_id,
                                                   Snapshot.deleted_at.is_(None)).limit(1)):
        raise errors.Conflict(reason=f"Volume {volume_id} has snapshots and cannot move to another back end.")


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


class SwitchRecord(OperationTask):
    """Write that the copy is the volume. Revert: nothing to undo, the volume stays where it surely is whole."""

    weight = 0

    def execute(self, choice: dict[str, Any], moved: dict[str, Any] | None, volume_type_id: str | None = None,
                multiattach: bool | None = None) -> None:
        """Switch; the source stays claimed until it is removed."""
        if moved is None:
            return
        values = {"backend_id": choice["backend_id"], "target_backend_id": choice["source_id"],
                  "provider": moved["provider"], "zone": choice["zone"]}
        if volume_type_id is not None:
            values.update(volume_type_id=volume_type_id, multiattach=multiattach)
        self.run.write(lambda session: self._switch(session, choice, values))

    def _switch(self, session: orm.Session, choice: dict[str, Any], values: dict[str, Any]) -> None:
        session.execute(sa.update(Volume).where(
            Volume.id == self.run.resource_id, Volume.backend_id == choice["source_id"],
            Volume.target_backend_id == choice["backend_id"]).values(**values))
        notes.write(session, self.run.held.id, notes.LEFT_ON, key=choice["source_id"])


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


