"""What a storage node has that is surely not wanted any more.

Only what the records say is gone, or was left behind, is told to be removed. What has no record at all is left
alone: the database may have been restored from a backup, and what it forgot may be user data. The doctor lists that
for a person to decide. Nothing is told about what an operation works on.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor import homes
from conductor.run import CloudAccess
from hostler.db.models import Backend, Backup, Lock, Snapshot, Volume, VolumeAttachment, VolumeNode
from hostler.operations import notes
from hostler.resources.volume import backend_claims
from hostler.resources.volume import states as volume_states

LOG = logging.getLogger(__name__)

# SQLite and PostgreSQL bound the parameters of one statement.
_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class _Known:
    """The records of what a node reported, by id; absent means no record."""

    volumes: dict[str, Any]
    snapshots: dict[str, tuple[str, bool]]  # its volume, and whether it is deleted
    connections: frozenset[str]  # of attachments
    backups: dict[str, Any]
    locked: frozenset[str]
    left_on: dict[str, frozenset[str]]  # volume → back ends
    backends: dict[str, Any]  # all back ends, by id


def plan(cloud: CloudAccess, node: str, present: dict[str, Any]) -> dict[str, list[Any]]:
    """Return what to remove of what is `present` (`ConductorAPI.volume_reconcile` describes both)."""
    with cloud.db.reading() as session:
        unwanted = find_unwanted(session, node, present)
        places = homes.volumes(session, [item["id"] for item in unwanted["volumes"]])
    left_over = homes.left_over_volumes(cloud, places)
    unwanted["volumes"] = [item for item in unwanted["volumes"] if item["id"] in left_over]
    for what, items in unwanted.items():
        if items:
            LOG.warning("storage node %s is told to remove %s: %s", node, what, items)
    return unwanted


def find_unwanted(session: orm.Session, node: str, present: dict[str, Any], *, own_operation: str | None = None
                  ) -> dict[str, list[Any]]:
    """Return what `plan` tells to remove, if it is not the only copy; what `own_operation`, the caller's, holds counts
    as held by nobody."""
    unwanted: dict[str, list[Any]] = {"volumes": [], "snapshots": [], "connections": [], "backups": []}
    row = session.scalar(sa.select(VolumeNode).where(VolumeNode.name == node))
    if row is None:
        # A cloud that does not know the node (a fresh or wrong database) has no say over its data.
        return unwanted
    known = _read(session, present, own_operation)
    here = {backend.name: backend for backend in known.backends.values() if backend.node_id == row.id}
    for name, found in present.get("backends", {}).items():
        if name in here and not found.get("error"):
            _plan_backend(here[name], found, known, unwanted)
    for backup_id in present.get("backups", []):
        backup = known.backups.get(backup_id)
        if backup is not None and backup_id not in known.locked and backup.deleted_at is not None \
                and backup.store in (None, row.backup_store):
            unwanted["backups"].append(backup_id)
    return unwanted


def _plan_backend(backend: Any, found: dict[str, Any], known: _Known, unwanted: dict[str, list[Any]]) -> None:
    for volume_id in found.get("volumes", []):
        if volume_id not in known.locked and _is_left_over(volume_id, backend, known):
            unwanted["volumes"].append({"backend": backend.name, "id": volume_id})
    for snapshot_id in found.get("snapshots", []):
        volume_id, deleted = known.snapshots.get(snapshot_id, (None, False))
        if snapshot_id in known.backups:
            # A backup of an attached volume is read from a snapshot of its own id, which does not outlive its making.
            volume_id, deleted = known.backups[snapshot_id].volume_id, True
        if deleted and volume_id is not None and not {snapshot_id, volume_id} & known.locked:
            unwanted["snapshots"].append({"backend": backend.name, "id": snapshot_id, "volume_id": volume_id})
    for connection_id, volume_id in found.get("connections", {}).items():
        if volume_id in known.volumes and volume_id not in known.locked and connection_id not in known.connections:
            unwanted["connections"].append({"backend": backend.name, "volume_id": volume_id,
                                            "attachment_id": connection_id})


def _is_left_over(volume_id: str, backend: Any, known: _Known) -> bool:
    volume = known.volumes.get(volume_id)
    if volume is None or backend.id in (volume.backend_id, volume.target_backend_id):
        return False
    if volume.deleted_at is not None:
        return True
    if volume.backend_id is None:
        # Its creation failed and was reverted; it never held anything.
        return bool(volume.state == volume_states.ERROR)
    # It lives elsewhere. Sure is only what an operation said it left here, and that both are not one storage.
    return backend.id in known.left_on.get(volume_id, ()) \
        and backend_claims.are_apart(backend, known.backends[volume.backend_id])


def _read(session: orm.Session, present: dict[str, Any], own_operation: str | None) -> _Known:
    backends = present.get("backends", {}).values()
    connections = {key: value for found in backends for key, value in found.get("connections", {}).items()}
    volume_ids = {volume_id for found in backends for volume_id in found.get("volumes", [])} | {*connections.values()}
    snapshot_ids = {snapshot_id for found in backends for snapshot_id in found.get("snapshots", [])}
    backup_ids = set(present.get("backups", []))
    # Locks first: an operation that ended in between has then left its last word in the rows read after them.
    locked = set(session.scalars(sa.select(Lock.resource_id).where(Lock.operation_id != (own_operation or ""))))
    volumes = _rows(session, volume_ids, Volume.id, Volume.state, Volume.backend_id, Volume.target_backend_id,
                    Volume.deleted_at)
    snapshots = _rows(session, snapshot_ids, Snapshot.id, Snapshot.volume_id, Snapshot.deleted_at)
    backups = _rows(session, backup_ids | snapshot_ids, Backup.id, Backup.volume_id, Backup.store, Backup.deleted_at)
    attached = _rows(session, set(connections.values()), VolumeAttachment.volume_id, VolumeAttachment.connected_as)
    return _Known(
        volumes={row.id: row for row in volumes},
        snapshots={row.id: (row.volume_id, row.deleted_at is not None) for row in snapshots},
        connections=frozenset(row.connected_as for row in attached), backups={row.id: row for row in backups},
        locked=frozenset(locked), left_on=_left_on(session, volume_ids),
        backends={row.id: row for row in session.execute(sa.select(
            Backend.id, Backend.name, Backend.node_id, Backend.driver, Backend.capabilities))})


def _rows(session: orm.Session, ids: Collection[str], key: Any, *columns: Any) -> list[Any]:
    ordered = sorted(ids)
    return [row for start in range(0, len(ordered), _CHUNK)
            for row in session.execute(sa.select(key, *columns).where(key.in_(ordered[start:start + _CHUNK])))]


def _left_on(session: orm.Session, ids: Collection[str]) -> dict[str, frozenset[str]]:
    ordered = sorted(ids)
    return {volume_id: backends for start in range(0, len(ordered), _CHUNK)
            for volume_id, backends in notes.left_on(session, ordered[start:start + _CHUNK]).items()}
