"""Whether a server may use a volume: status, project, multiattach, and the zones of both."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Volume, VolumeAttachment


def usable_volume(services: Services, session: orm.Session, context: RequestContext, volume_id: str, *,
                  server_id: str | None = None, multiattach_refusal: str | None = None) -> Volume:
    """Return a volume that one more server may have, held till the transaction ends.

    `multiattach_refusal` is the reason why this caller gets no volume that several servers may have (None: it does).
    Raises NotFound, Invalid for a status that does not allow it, ResourceLocked when an operation holds it.
    """
    volume = volume_rows.load(session, context, volume_id)
    volume_rows.hold(services, session, volume)
    if volume.multiattach and multiattach_refusal is not None:
        raise errors.Invalid(reason=multiattach_refusal)
    servers = set(session.scalars(sa.select(VolumeAttachment.server_id).where(
        VolumeAttachment.volume_id == volume.id)))
    if server_id is not None and server_id in servers:
        raise errors.Invalid(reason=f"Invalid volume: volume {volume.id} already attached to instance {server_id}")
    allowed = ("available", "in-use") if volume.multiattach else ("available",)
    try:
        volume_rows.check_status(session, volume, *allowed)
    except errors.WrongStatus as error:
        raise errors.Invalid(reason=str(error)) from None
    volume_rows.check_no_source(session, volume.id)
    return volume


def check_zones(services: Services, volume: Volume, server_id: str, server_zone: str) -> None:
    """Raise Invalid, naming both zones, when servers may only have volumes of their own zone and this is another."""
    if not services.conf.volume.cross_az_attach and volume.zone != server_zone:
        raise errors.Invalid(reason=f"Invalid volume: Instance {server_id} and volume {volume.id} are not in the same "
                                    f"availability_zone. Instance is in {server_zone}. Volume is in {volume.zone}")
