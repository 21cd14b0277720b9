"""Snapshots of all volumes of a server, written together with the image that names them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.volume import rows as volume_rows
from api.core.volume import snapshots as volume_snapshots
from api.services import Services
from hostler.context import RequestContext
from hostler.db.models import Server, Snapshot, Volume, VolumeAttachment
from hostler.resources.server import states

# Over these a host opens the volume itself, and only while the guest runs.
_OPENED_BY_GUEST = frozenset({"file"})


def hold_volumes(services: Services, session: orm.Session, server: Server) -> list[VolumeAttachment]:
    """Hold a server's volumes, which must be in use and free, till the transaction ends, in the order of their ids.

    Returns its attachments, the root disk's first. Raises ResourceLocked, WrongStatus.
    """
    attachments = session.scalars(sa.select(VolumeAttachment).where(
        VolumeAttachment.server_id == server.id).order_by(VolumeAttachment.volume_id)).all()
    for attachment in attachments:
        volume = session.get_one(Volume, attachment.volume_id)
        volume_rows.hold(services, session, volume)
        volume_rows.check_status(session, volume, "in-use")
    return sorted(attachments, key=lambda each: (each.boot_index is None, each.boot_index or 0, each.device or ""))


def write(services: Services, session: orm.Session, context: RequestContext, server: Server,
          attachments: list[VolumeAttachment], name: str) -> list[tuple[VolumeAttachment, Snapshot]]:
    """Claim and write a snapshot of each volume held; raises Invalid where a back end cannot copy a volume in use."""
    return [(attachment, volume_snapshots.write(
        services, session, context, session.get_one(Volume, attachment.volume_id), name=name, description=None,
        metadata={}, at_rest=_at_rest(session, server, attachment))) for attachment in attachments]


def _at_rest(session: orm.Session, server: Server, attachment: VolumeAttachment) -> bool:
    """Return whether nobody has a volume open: its only server is off, and its host opens it itself."""
    if server.vm_state != states.STOPPED or (attachment.connection or {}).get("protocol") not in _OPENED_BY_GUEST:
        return False
    return session.scalar(sa.select(sa.func.count()).where(
        VolumeAttachment.volume_id == attachment.volume_id)) == 1
