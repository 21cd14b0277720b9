"""Builds what a storage node must know (`hostler.resources.volume.specs`) of volumes, snapshots and backups.

Read-only; used before a volume agent is called. Raises NotFound for what has no record, and Conflict
for a volume that is on no back end.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.db.models import (
    Backend,
    Backup,
    Image,
    QosSpecs,
    Snapshot,
    Volume,
    VolumeAttachment,
    VolumeNode,
    VolumeType,
    Zone,
)
from hostler.images.spec import image_spec
from hostler.images.store import ImageStore
from hostler.resources.volume import qos
from hostler.resources.volume import states as volume_states
from hostler.resources.volume.specs import BackupSpec, SnapshotSpec, SourceSpec, VolumeSpec


@dataclasses.dataclass(frozen=True)
class Place:
    """A back end and the node whose agent works on it."""

    backend_id: str
    node: str
    backend: str
    zone: str
    driver: str
    capabilities: dict[str, Any]
    backup_store: str | None

    @property
    def id(self) -> str:
        """The back end's id, as `backend_claims.are_apart` reads it."""
        return self.backend_id


def place_of(session: orm.Session, backend_id: str) -> Place:
    """Return where a back end is."""
    row = session.execute(
        sa.select(Backend.id, VolumeNode.name.label("node"), Backend.name, Zone.name.label("zone"), Backend.driver,
                  Backend.capabilities, VolumeNode.backup_store)
        .join(VolumeNode, VolumeNode.id == Backend.node_id).join(Zone, Zone.id == VolumeNode.zone_id)
        .where(Backend.id == backend_id)).one_or_none()
    if row is None:
        raise errors.NotFound(resource="Backend", id=backend_id)
    return Place(row.id, row.node, row.name, row.zone, row.driver, dict(row.capabilities or {}), row.backup_store)


def place_of_volume(session: orm.Session, volume_id: str) -> Place | None:
    """Return where a volume is, or None when it is on no back end."""
    backend_id = session.scalar(sa.select(Volume.backend_id).where(Volume.id == volume_id))
    return place_of(session, backend_id) if backend_id is not None else None


def volume_spec(session: orm.Session, volume_id: str, *, backend: str | None = None) -> VolumeSpec:
    """Return a volume's spec on its back end, or on the one named `backend` (of a move's target)."""
    volume = _get(session, Volume, volume_id)
    if backend is None:
        if volume.backend_id is None:
            raise errors.Conflict(reason=f"Volume {volume_id} is on no back end.")
        backend = place_of(session, volume.backend_id).backend
        provider = dict(volume.provider or {})
    else:
        provider = {}
    kind = session.get(VolumeType, volume.volume_type_id) if volume.volume_type_id else None
    limited = session.get(QosSpecs, kind.qos_specs_id) if kind is not None and kind.qos_specs_id else None
    return VolumeSpec(
        id=volume.id, backend=backend, size_gib=volume.size_gib, name=volume.name, provider=provider,
        extra_specs=dict(kind.extra_specs or {}) if kind is not None else {}, multiattach=volume.multiattach,
        attached=_is_attached(session, volume_id),
        limits=qos.limits_of(limited.consumer, limited.specs, volume.size_gib) if limited is not None else {})


def _is_attached(session: orm.Session, volume_id: str) -> bool:
    # What has a connection may be written to through it, whether or not somebody said that it is attached.
    rows = session.execute(sa.select(VolumeAttachment.state, VolumeAttachment.connection).where(
        VolumeAttachment.volume_id == volume_id))
    return any(row.state == volume_states.ATTACHED or row.connection for row in rows)


def snapshot_spec(session: orm.Session, snapshot_id: str) -> SnapshotSpec:
    """Return a snapshot's spec."""
    snapshot = _get(session, Snapshot, snapshot_id)
    return SnapshotSpec(id=snapshot.id, volume_id=snapshot.volume_id, size_gib=snapshot.size_gib,
                        provider=dict(snapshot.provider or {}))


def backup_spec(session: orm.Session, backup_id: str, *, store: str | None = None) -> BackupSpec:
    """Return a backup's spec with the chain it builds on; `store` is where it is to be, when it is nowhere yet."""
    backup = _get(session, Backup, backup_id)
    store = backup.store or store
    if store is None:
        raise errors.Conflict(reason=f"Backup {backup_id} is in no backup store.")
    chain: list[str] = []
    parent_id = backup.parent_id
    while parent_id is not None:
        parent = _get(session, Backup, parent_id)
        if parent.store != store or parent.deleted_at is not None:
            raise errors.Conflict(reason=f"Backup {backup_id} builds on {parent_id}, which is not in its store.")
        chain.insert(0, parent_id)
        parent_id = parent.parent_id
    return BackupSpec(id=backup.id, store=store, volume_id=backup.volume_id or "", size_gib=backup.size_gib,
                      chain=tuple(chain))


def source_spec(session: orm.Session, conf: cfg.ConfigOpts, images: ImageStore, volume_id: str,
                source: str | None) -> SourceSpec:
    """Return what a new volume is filled with: `source` is image, snapshot, volume, backup or None; ids are in its
    record."""
    volume = _get(session, Volume, volume_id)
    if source == "image":
        image = _get(session, Image, volume.image_id)
        return SourceSpec(image=image_spec(image, conf, images))
    if source == "snapshot":
        return SourceSpec(snapshot=snapshot_spec(session, _named(volume.snapshot_id, volume_id)))
    if source == "volume":
        return SourceSpec(volume=volume_spec(session, _named(volume.source_volume_id, volume_id)))
    if source == "backup":
        return SourceSpec(backup=backup_spec(session, _named(volume.backup_id, volume_id)))
    return SourceSpec()


def _named(source_id: str | None, volume_id: str) -> str:
    if source_id is None:
        raise errors.Conflict(reason=f"Volume {volume_id} names no source.")
    return source_id


def _get(session: orm.Session, model: Any, identity: str | None) -> Any:
    row = session.get(model, identity) if identity is not None else None
    if row is None:
        raise errors.NotFound(resource=model.__name__, id=identity)
    return row
