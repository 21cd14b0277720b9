"""Handing a volume to another project: anyone with an offer's key may take the volume, with its snapshots.

The key is shown once; the database has its hash. An offer goes when it is taken or withdrawn.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import secrets
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import Snapshot, Volume, VolumeTransfer, VolumeType
from hostler.operations.accept import Target, check_unlocked
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources import quota
from hostler.resources.volume import states

TRANSFER: Final = declare(VolumeTransfer)


@dataclasses.dataclass(frozen=True)
class Taken:
    """What a taken offer was about."""

    id: str
    name: str
    volume_id: str


def not_found(transfer_id: str) -> errors.NotFound:
    """Return the error for an offer that does not exist for the caller."""
    return errors.NotFound(f"Transfer {transfer_id[:80]} could not be found.", resource="transfer", id=transfer_id)


def _hash(salt: str, key: str) -> str:
    # The key is ours and random, so that no slow hash is needed.
    return hmac.new(salt.encode(), key.encode(), hashlib.sha256).hexdigest()


def list_transfers(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of VolumeTransfer rows; raises NotFound for an unknown marker."""
    services.policy.check(context, "volume:get_all_transfers")
    scope = [] if query.project_id is None else [VolumeTransfer.project_id == query.project_id]
    with services.db.reading() as session:
        return read_page(session, TRANSFER, query, scope)


def show(services: Services, context: RequestContext, transfer_id: str) -> VolumeTransfer:
    """Return one offer of the caller's project; raises NotFound."""
    with services.db.reading() as session:
        row = _find(session, context, transfer_id)
    services.policy.check(context, "volume:get_transfer", {"project_id": row.project_id})
    return row


def _find(session: orm.Session, context: RequestContext, transfer_id: str) -> VolumeTransfer:
    row = session.get(VolumeTransfer, ids.canonical(transfer_id) or "")
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise not_found(transfer_id)
    return row


def create(services: Services, context: RequestContext, volume_id: str, *, name: str,
           with_snapshots: bool) -> tuple[VolumeTransfer, str]:
    """Offer a volume; returns the offer and its key. Raises NotFound, WrongStatus, ResourceLocked."""
    key, salt = secrets.token_hex(16), secrets.token_hex(16)

    def work(session: orm.Session) -> VolumeTransfer:
        volume = volume_rows.to_change(services, session, context, volume_id, "volume:create_transfer")
        volume_rows.check_status(session, volume, states.READY)
        volume_rows.check_no_source(session, volume.id)
        if with_snapshots:
            _check_snapshots(session, volume)
        row = VolumeTransfer(id=ids.new_id(), name=name, volume_id=volume.id, project_id=volume.project_id, salt=salt,
                             key_hash=_hash(salt, key), with_snapshots=with_snapshots)
        session.add(row)
        session.flush()
        return row

    return in_turn(services, work), key


def _check_snapshots(session: orm.Session, volume: Volume) -> list[Snapshot]:
    """Return a volume's snapshots in its project; raises Invalid or ResourceLocked unless all are at rest."""
    found = list(session.scalars(sa.select(Snapshot).where(
        Snapshot.volume_id == volume.id, Snapshot.project_id == volume.project_id,
        Snapshot.deleted_at.is_(None)).with_for_update()))
    for row in found:
        if row.state != states.READY:
            raise errors.Invalid(reason=f"Invalid snapshot: snapshot {row.id} of volume {volume.id} is {row.state}; "
                                        "it must be available to go along.")
    check_unlocked(session, [Target("snapshot", row.id) for row in found])
    return found


def accept(services: Services, context: RequestContext, transfer_id: str, key: str) -> Taken:
    """Take an offered volume into the caller's project.

    Raises NotFound, Invalid for a wrong key, WrongStatus, ResourceLocked, QuotaExceeded.
    """
    services.policy.check(context, "volume:accept_transfer")

    def work(session: orm.Session) -> Taken:
        offer = session.get(VolumeTransfer, ids.canonical(transfer_id) or "")
        if offer is None:
            raise not_found(transfer_id)
        if not hmac.compare_digest(offer.key_hash, _hash(offer.salt, key)):
            raise errors.Invalid(reason=f"Invalid auth key: Attempt to transfer {offer.id} with invalid auth key.")
        volume = session.get(Volume, offer.volume_id)
        if volume is None:
            raise not_found(transfer_id)
        volume_rows.hold(services, session, volume)
        if session.scalar(sa.select(VolumeTransfer.id).where(VolumeTransfer.id == offer.id)) is None:
            raise not_found(transfer_id)  # taken or withdrawn while we waited
        volume_rows.check_status(session, volume, "awaiting-transfer")
        _hand_over(services, session, context, volume, with_snapshots=offer.with_snapshots)
        taken = Taken(offer.id, offer.name, volume.id)
        session.delete(offer)
        return taken

    return services.db.write(work)


def _hand_over(services: Services, session: orm.Session, context: RequestContext, volume: Volume, *,
               with_snapshots: bool) -> None:
    snapshots = _check_snapshots(session, volume) if with_snapshots else []
    project_id = str(context.project_id)
    if project_id != volume.project_id:
        counts = {"volumes": 1, "gigabytes": volume.claimed_gib + sum(row.size_gib for row in snapshots)}
        if snapshots:
            counts["snapshots"] = len(snapshots)
        type_name = session.scalar(sa.select(VolumeType.name).where(VolumeType.id == volume.volume_type_id))
        quota.claim(services.db, session, services.conf, project_id, quota.of_type(type_name, counts))
    moving: list[Volume | Snapshot] = [volume, *snapshots]
    for row in moving:
        row.project_id, row.user_id, row.updated_at = project_id, str(context.user_id), clock.utcnow()
    session.flush()


def delete(services: Services, context: RequestContext, transfer_id: str) -> None:
    """Withdraw an offer; the volume is available again."""

    def work(session: orm.Session) -> None:
        row = _find(session, context, transfer_id)
        services.policy.check(context, "volume:delete_transfer", {"project_id": row.project_id})
        volume = session.get(Volume, row.volume_id)
        if volume is not None:
            services.db.lock_row(session, Volume, Volume.id == volume.id)
        session.execute(sa.delete(VolumeTransfer).where(VolumeTransfer.id == row.id))

    services.db.write(work)
