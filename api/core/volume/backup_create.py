"""Making backups: of a volume or one of its snapshots, full or of what changed since the last one.

A backup holds its volume's lock (and its snapshot's) till it is made. The backup it builds on is not locked: a
deletion looks for backups that build on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume.snapshots import SNAPSHOTS
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backend, Backup, Lock, Snapshot, Volume, VolumeNode, Zone
from hostler.operations.accept import Target, accept, check_unlocked
from hostler.operations.agents import volume_agent
from hostler.operations.kinds import volume as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources import quota
from hostler.resources.volume import states
from hostler.resources.volume.volume_record import VolumeRecord


@dataclasses.dataclass(frozen=True, kw_only=True)
class NewBackup:
    """What is asked for. `force` lets the volume be in use, where its back end can."""

    volume_id: str
    snapshot_id: str | None = None
    incremental: bool = False
    force: bool = False
    name: str = ""
    description: str | None = None
    container: str | None = None
    zone: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


def create(services: Services, context: RequestContext, wanted: NewBackup) -> str:
    """Accept a backup; returns its id. It is the caller's, also of another project's volume, as in the reference.

    Raises NotFound, WrongStatus, Invalid (no store, nothing to build on, in use), ResourceLocked, QuotaExceeded.
    """
    backup_id = ids.new_id()

    def work(session: orm.Session) -> str:
        volume = volume_rows.to_change(services, session, context, wanted.volume_id, "backup:create")
        owner = context.project_id or volume.project_id
        quota.check_items(session, services.conf, owner, "metadata_items", len(wanted.metadata))
        snapshot = _snapshot(services, session, volume, wanted.snapshot_id)
        backend, node, zone = _place(session, volume)
        _check_volume(session, volume, backend, snapshot, force=wanted.force)
        if wanted.zone and wanted.zone != zone:
            raise errors.InvalidZone(zone=wanted.zone)
        parent_id = _parent(services, session, volume, node, owner) if wanted.incremental else None
        size_gib = snapshot.size_gib if snapshot is not None else volume.size_gib
        quota.claim(services.db, session, services.conf, owner,
                    {"backups": 1, "backup_gigabytes": size_gib})
        session.add(Backup(
            id=backup_id, project_id=owner, user_id=context.user_id, name=wanted.name,
            description=wanted.description, volume_id=volume.id, parent_id=parent_id, state=states.CREATING,
            snapshot_id=None if snapshot is None else snapshot.id, size_gib=size_gib, zone=zone,
            container=wanted.container, extra=dict(wanted.metadata),
            volume_record=VolumeRecord.of(volume).to_row()))
        session.flush()
        also = [Target("volume", volume.id), *([Target("snapshot", snapshot.id)] if snapshot is not None else [])]
        return accept(session, context, kinds.CREATE_BACKUP, Target("backup", backup_id), Arguments(),
                      also_lock=also, project_id=owner, agent=volume_agent(node.name)).id

    services.waker.wake(context, in_turn(services, work))
    return backup_id


def _snapshot(services: Services, session: orm.Session, volume: Volume, snapshot_id: str | None) -> Snapshot | None:
    if snapshot_id is None:
        return None
    row = session.get(Snapshot, ids.canonical(snapshot_id) or "")
    if row is None or row.deleted_at is not None or row.project_id != volume.project_id:
        raise SNAPSHOTS.not_found(snapshot_id)
    if row.volume_id != volume.id:
        raise errors.Invalid(reason=f"Invalid snapshot: snapshot {row.id} is not one of volume {volume.id}.")
    services.db.lock_row(session, Snapshot, Snapshot.id == row.id)
    session.refresh(row)
    check_unlocked(session, [Target("snapshot", row.id)])
    if row.state != states.READY:
        raise errors.WrongStatus(resource="snapshot", id=row.id, allowed=states.READY, status=row.state)
    return row


def _place(session: orm.Session, volume: Volume) -> tuple[Backend, VolumeNode, str]:
    found = session.execute(
        sa.select(Backend, VolumeNode, Zone.name).join(VolumeNode, VolumeNode.id == Backend.node_id)
        .join(Zone, Zone.id == VolumeNode.zone_id).where(Backend.id == volume.backend_id)).tuples().one_or_none()
    if found is None:
        raise errors.Invalid(reason=f"Invalid volume: volume {volume.id} is on no back end.")
    if found[1].backup_store is None:
        raise errors.Invalid(reason=f"Invalid volume: the storage node of volume {volume.id} has no backup store.")
    return found


def _check_volume(session: orm.Session, volume: Volume, backend: Backend, snapshot: Any, *, force: bool) -> None:
    status = volume_rows.check_status(session, volume, states.READY, "in-use")
    if status == states.READY or snapshot is not None:
        return
    if not force:
        raise errors.Invalid(reason="Invalid volume: Backing up an in-use volume must use the force flag.")
    if not backend.capabilities.get("online_snapshot"):
        raise errors.Invalid(reason=f"Invalid volume: volume {volume.id} is in use, and its back end "
                                    f"({backend.driver}) can back up detached volumes only.")


def _parent(services: Services, session: orm.Session, volume: Volume, node: VolumeNode, owner: str) -> str:
    """Return the owner's newest whole backup of the volume in the node's store, held; raises Invalid without one.

    Never another project's: its owner could not delete it any more.
    """
    leaving = sa.exists().where(Lock.resource_id == Backup.id, Lock.kind == kinds.DELETE_BACKUP.name)
    query = sa.select(Backup.id).where(
        Backup.volume_id == volume.id, Backup.project_id == owner, Backup.deleted_at.is_(None),
        Backup.state == states.READY, Backup.store == node.backup_store, sa.not_(leaving))
    newest = query.order_by(sa.func.coalesce(Backup.data_at, Backup.created_at).desc(), Backup.id)
    for candidate in session.scalars(newest.limit(3)).all():
        services.db.lock_row(session, Backup, Backup.id == candidate)
        if session.scalar(query.where(Backup.id == candidate)) is not None:
            return candidate
    raise errors.Invalid(reason="Invalid backup: No backups available to do an incremental backup.")
