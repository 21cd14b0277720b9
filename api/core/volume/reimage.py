"""Giving a volume an image's content in place of its own."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume import sources as volume_sources
from api.core.volume.rows import check_no_source, check_status, to_change
from api.core.volume.volumes import agent_of
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Image, Volume, VolumeAttachment
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import states

_POLICY: Final = "volume:reimage"


def reimage(services: Services, context: RequestContext, volume_id: str, image_id: str, *, reserved: bool) -> None:
    """Accept a new content for a volume that nobody uses; with `reserved` it may be promised to a server.

    Raises WrongStatus, ResourceLocked, Invalid for an image that does not fit, Conflict for a volume of many servers.
    """

    def work(session: orm.Session) -> str:
        volume = to_change(services, session, context, volume_id, _POLICY)
        if volume_rows.status_of(session, volume) == states.RESERVED:
            services.policy.check(context, _POLICY + "_reserved", volume_rows.target_of(volume))
        check_one_server(session, volume)
        allowed = (*kinds.REIMAGE.starts_in, *((states.RESERVED,) if reserved else ()))
        check_status(session, volume, *allowed)
        check_no_source(session, volume.id)
        if volume.backend_id is None:
            raise errors.Invalid(reason=f"Invalid volume: volume {volume.id} is on no back end.")
        image = image_for(services, session, context, volume, image_id)
        return accept(session, context, kinds.REIMAGE, Target("volume", volume.id),
                      kinds.ReimageVolume(image_id=image.id), project_id=volume.project_id,
                      agent=agent_of(session, volume)).id

    services.waker.wake(context, in_turn(services, work))


def check_one_server(session: orm.Session, volume: Volume) -> None:
    """Raise Conflict for a volume that several servers have."""
    if (session.scalar(sa.select(sa.func.count()).where(VolumeAttachment.volume_id == volume.id)) or 0) > 1:
        raise errors.Conflict(reason="Cannot re-image a volume which is attached to more than one server.")


def image_for(services: Services, session: orm.Session, context: RequestContext, volume: Volume,
              image_id: str) -> Image:
    """Return an image whose content a volume can hold; raises Invalid."""
    source = volume_sources.find_image(services, session, context, image_id)
    if source.kind != "image":
        raise errors.Invalid(reason=f"Image {image_id} is unacceptable: it has no content, it names snapshots of a "
                                    "server's volumes.")
    volume_sources.check_image_fits(session, source.id, volume.size_gib)
    return session.get_one(Image, source.id)
