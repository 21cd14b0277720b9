"""How a volume's record leaves its back end."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.db.models import Image, Volume
from hostler.resources.volume import backend_claims, moves
from hostler.resources.volume import states as volume_states
from hostler.resources.volume.volume_record import image_metadata_of


def release_backend(session: orm.Session, volume_id: str) -> None:
    """Take a volume's record off its back end, which has room again."""
    backend_id = session.scalar(sa.select(Volume.backend_id).where(Volume.id == volume_id))
    session.execute(sa.update(Volume).where(Volume.id == volume_id).values(backend_id=None, provider={}))
    backend_claims.touch(session, [backend_id])


def remember_image(session: orm.Session, volume_id: str, image_id: str, provider: dict[str, Any]) -> None:
    """Write which image a volume got its content from, as if it had been made from it."""
    image = session.get_one(Image, image_id)
    moves.VOLUME.move(session, volume_id, None, {
        "provider": provider, "bootable": True, "image_metadata": image_metadata_of(image)})


def mark_deleted(session: orm.Session, volume_ids: list[str]) -> None:
    """Mark volumes as deleted and take them off their back ends; the records stay for lists of deleted ones."""
    for volume_id in volume_ids:
        release_backend(session, volume_id)
    moves.VOLUME.move_all(session, volume_states.DELETED, {"deleted_at": clock.utcnow()},
                          where=[Volume.id.in_(volume_ids)])
