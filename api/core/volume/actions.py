"""What is done to a volume on its back end: extend, retype, migrate, revert. Each is accepted as an operation.

A volume's row is locked while its status is checked, so the second of two concurrent actions sees the first.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import availability_zones as volume_zones
from api.core.volume import create as volume_create
from api.core.volume import rows as volume_rows
from api.core.volume.rows import check_idle, check_no_source, check_status, to_change
from api.core.volume.volumes import agent_of
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backend, QosSpecs, Snapshot, Volume, VolumeAttachment, VolumeNode, VolumeType
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import volume as kinds
from hostler.operations.kinds.kind import A, Kind
from hostler.resources import quota
from hostler.resources.volume import backend_claims, qos, states

_ADMIN_ACTION: Final = "volume_extension:volume_admin_actions:"
NEVER: Final = "never"
_WHY_NOT: Final = {"nbd": "QEMU cannot grow a disk that it reaches over NBD"}


def extend(services: Services, context: RequestContext, volume_id: str, size_gib: int, *, attached: bool) -> None:
    """Accept an extension to `size_gib`; a volume in use may grow only if `attached` and its connections can."""

    def work(session: orm.Session) -> str:
        volume = to_change(services, session, context, volume_id, "volume:extend")
        status = check_status(session, volume, *(kinds.EXTEND.starts_in if attached else (states.READY,)))
        if size_gib <= volume.size_gib:
            raise errors.Invalid(reason="New size for extend must be greater than current size. (current: "
                                        f"{volume.size_gib}, extended: {size_gib}).")
        if status == "in-use":
            services.policy.check(context, "volume:extend_attached_volume", volume_rows.target_of(volume))
            _check_can_grow(session, volume)
        check_no_source(session, volume.id)
        growth = {"gigabytes": size_gib - volume.claimed_gib}
        quota.claim(services.db, session, services.conf, volume.project_id,
                    quota.of_type(_type_name(session, volume.volume_type_id), growth))
        quota.check_volume_size(quota.limits(session, services.conf, volume.project_id), size_gib)
        if volume.backend_id is not None and not backend_claims.claim(
                session, volume.backend_id, gib=size_gib - volume.claimed_gib):
            raise errors.NoCapacity(reason=f"The back end of volume {volume.id} has no room for {size_gib} GiB.")
        volume.claimed_gib = size_gib
        return _accept(session, context, volume, kinds.EXTEND, kinds.ExtendVolume(size_gib=size_gib))

    services.waker.wake(context, in_turn(services, work))


def retype(services: Services, context: RequestContext, volume_id: str, name_or_id: str, policy: str) -> None:
    """Accept a change of type; `policy` says whether the volume may move for it (never, on-demand)."""

    def work(session: orm.Session) -> str:
        volume = to_change(services, session, context, volume_id, "volume:retype")
        wanted = _new_type(session, context, name_or_id)
        # What a server has stays where it is.
        usable = kinds.RETYPE.starts_in if policy == NEVER else (states.READY,)
        status = check_status(session, volume, *usable)
        if wanted.id == volume.volume_type_id:
            raise errors.Invalid(reason=f"New volume_type same as original: {wanted.name}.")
        _check_new_type(services, context, volume, wanted, status)
        if status == "in-use":
            _check_same_limits(session, volume, wanted)
        check_no_source(session, volume.id)
        counts = quota.of_type(wanted.name, {"volumes": 1, "gigabytes": volume.claimed_gib})
        quota.claim(services.db, session, services.conf, volume.project_id,
                    {name: amount for name, amount in counts.items() if name not in quota.VOLUME_RESOURCES})
        return _accept(session, context, volume, kinds.RETYPE, kinds.RetypeVolume(
            volume_type_id=wanted.id, migration_policy=policy, multiattach=volume_create.is_multiattach(wanted)))

    services.waker.wake(context, in_turn(services, work))


def migrate(services: Services, context: RequestContext, volume_id: str, host: str | None) -> None:
    """Accept a move to the back end `host` (node@backend#backend), or to one the scheduler finds (None)."""

    def work(session: orm.Session) -> str:
        volume = to_change(services, session, context, volume_id, _ADMIN_ACTION + "migrate_volume")
        check_status(session, volume, *kinds.MIGRATE.starts_in)
        backend_id = _backend_of(session, host) if host is not None else None
        if backend_id is not None and backend_id == volume.backend_id:
            raise errors.Invalid(reason=f"Volume {volume.id} is on {host} already.")
        snapshot_id = session.scalar(sa.select(Snapshot.id).where(
            Snapshot.volume_id == volume.id, Snapshot.deleted_at.is_(None)).limit(1))
        if snapshot_id is not None:
            raise errors.InUse(resource="Volume", id=volume.id,
                               reason=f"it has snapshots (such as {snapshot_id}), which cannot move along.")
        check_no_source(session, volume.id)
        return _accept(session, context, volume, kinds.MIGRATE, kinds.MigrateVolume(backend_id=backend_id))

    services.waker.wake(context, in_turn(services, work))


def revert(services: Services, context: RequestContext, volume_id: str, snapshot_id: str | None) -> None:
    """Accept reverting a volume to its latest snapshot; raises Conflict for a status that forbids it.

    A snapshot that another project kept when it gave the volume away counts as newer, but cannot be reverted to.
    """

    def work(session: orm.Session) -> str:
        volume = to_change(services, session, context, volume_id, "volume:revert_to_snapshot")
        snapshot = session.scalars(sa.select(Snapshot).where(
            Snapshot.volume_id == volume.id, Snapshot.deleted_at.is_(None))
            .order_by(Snapshot.created_at.desc(), Snapshot.id.desc()).limit(1)).one_or_none()
        if snapshot is None:
            raise errors.Invalid(reason=f"Volume {volume.id} doesn't have any snapshots.")
        if ids.canonical(snapshot_id or "") != snapshot.id or snapshot.project_id != volume.project_id:
            raise errors.Invalid(reason=f"Specified snapshot {snapshot_id} is not the latest one of volume "
                                        f"{volume.id}.")
        if snapshot.size_gib != volume.size_gib:
            raise errors.Invalid(reason=f"Volume {volume.id} has {volume.size_gib}GB and its latest snapshot "
                                        f"{snapshot.id} {snapshot.size_gib}GB; they must be of one size to revert.")
        _check_revertible(session, volume, snapshot)
        return _accept(session, context, volume, kinds.REVERT, kinds.RevertVolume(snapshot_id=snapshot.id),
                       Target("snapshot", snapshot.id))

    services.waker.wake(context, in_turn(services, work))


def _accept(session: orm.Session, context: RequestContext, volume: Volume, kind: Kind[A], arguments: A,
            *also_lock: Target) -> str:
    return accept(session, context, kind, Target("volume", volume.id), arguments,
                  project_id=volume.project_id, also_lock=also_lock, agent=agent_of(session, volume)).id


def _check_can_grow(session: orm.Session, volume: Volume) -> None:
    """Raise Invalid unless every connection of the volume can grow under a running server."""
    backend = session.get(Backend, volume.backend_id) if volume.backend_id is not None else None
    able = (backend.capabilities if backend is not None else {}).get("online_extend", ())
    for connection in session.scalars(sa.select(VolumeAttachment.connection).where(
            VolumeAttachment.volume_id == volume.id)):
        protocol = (connection or {}).get("protocol", "unknown")
        if protocol not in able:
            why = _WHY_NOT.get(protocol, f"its back end cannot grow a volume attached over {protocol}")
            raise errors.Invalid(reason=f"Volume {volume.id} cannot be extended while it is in use: {why}. "
                                        "Detach it first.")


def _new_type(session: orm.Session, context: RequestContext, name_or_id: str) -> VolumeType:
    try:
        return volume_create.usable_type(session, context, name_or_id)
    except errors.NotFound:
        raise errors.Invalid(reason=f"Invalid volume_type passed: {name_or_id[:255]}.") from None


def _check_new_type(services: Services, context: RequestContext, volume: Volume, wanted: VolumeType,
                    status: str) -> None:
    volume_create.check_not_encrypted(wanted)
    zones = volume_zones.zones_of_type(wanted.extra_specs)
    if zones is not None and volume.zone not in zones:
        raise errors.Invalid(reason=f"Volume type {wanted.name} may be used in the availability zones "
                                    f"{', '.join(zones)} only; volume {volume.id} is in {volume.zone}.")
    shared = volume_create.is_multiattach(wanted)
    if shared != volume.multiattach and status == "in-use":
        raise errors.Invalid(reason=f"Volume {volume.id} is in use; a type with another multiattach setting may only "
                                    "be given to a volume that is available.")
    if shared:
        services.policy.check(context, "volume:multiattach", volume_rows.target_of(volume))


def _check_same_limits(session: orm.Session, volume: Volume, wanted: VolumeType) -> None:
    """Raise Invalid where hypervisors would have to obey other QoS specs while the volume is in use."""
    now = session.scalar(sa.select(VolumeType.qos_specs_id).where(VolumeType.id == volume.volume_type_id))
    if now != wanted.qos_specs_id and session.scalar(sa.select(QosSpecs.id).where(
            QosSpecs.id.in_([one for one in (now, wanted.qos_specs_id) if one is not None]),
            QosSpecs.consumer != qos.BACK_END).limit(1)) is not None:
        raise errors.Invalid(reason=f"Volume {volume.id} is in use; a type with other front-end QoS specs may only be "
                                    "given to a volume that is available.")


def _backend_of(session: orm.Session, host: str) -> str:
    """Return the id of the back end that `node@backend[#pool]` names; raises Invalid."""
    node, _, backend = host.partition("#")[0].partition("@")
    backend_id: str | None = session.scalar(
        sa.select(Backend.id).join(VolumeNode, VolumeNode.id == Backend.node_id)
        .where(VolumeNode.name == node, Backend.name == backend))
    if backend_id is None:
        raise errors.Invalid(reason=f"No available service named {host[:255]}; name it as node@backend#backend.")
    return backend_id


def _check_revertible(session: orm.Session, volume: Volume, snapshot: Snapshot) -> None:
    check_idle(session, volume.id, Target("snapshot", snapshot.id))
    status = volume_rows.status_of(session, volume)
    for noun, found in (("volume", status), ("snapshot", snapshot.state)):
        if not kinds.REVERT.may_start_in(found):
            raise errors.Conflict(reason=f"The {noun} must be {states.READY} to revert, but it is {found}.")
    check_no_source(session, volume.id, snapshots=True)


def _type_name(session: orm.Session, type_id: str | None) -> str | None:
    return session.scalar(sa.select(VolumeType.name).where(VolumeType.id == type_id)) if type_id is not None else None
