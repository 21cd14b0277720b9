"""What tasks write and read of the images that operations fill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from hostler import clock, errors
from hostler.db.models import Image
from hostler.images import statuses
from hostler.images.moves import IMAGE
from hostler.images.spec import upload_url
from hostler.resources.volume.specs import UploadSpec


def fill(run: Run, image_id: str, disk_format: str, send: Callable[[UploadSpec], None]) -> None:
    """Have an agent send a waiting image's content, and see that the image has it; raises AgentError."""
    if _status(run, image_id) == statuses.ACTIVE:  # sent before a crash
        return
    try:
        send(UploadSpec(image_id=image_id, disk_format=disk_format, url=upload_url(run.conf, image_id)))
    except errors.AgentError:
        # The store may have it all the same: an api that died before it answered is asked again and refuses.
        if _status(run, image_id) != statuses.ACTIVE:
            raise
    status = _status(run, image_id)
    if status != statuses.ACTIVE:
        raise errors.AgentError(reason=f"Image {image_id} is {status or 'gone'} after its content was sent.")


def finish_empty(session: orm.Session, image_id: str) -> None:
    """Make a waiting image active that has no content: its properties name what it consists of."""
    IMAGE.move(session, image_id, statuses.ACTIVE, {
        "size_bytes": 0, "claimed_bytes": None, "md5": hashlib.md5(usedforsecurity=False).hexdigest(),
        "sha512": hashlib.sha512().hexdigest()}, where=[Image.deleted_at.is_(None)])


def is_wanted(run: Run, image_id: str) -> bool:
    """Return whether a waiting image is still there; its owner may delete it at any time."""
    return _status(run, image_id) is not None


def remove(session: orm.Session, image_ids: Collection[str]) -> None:
    """Delete images; content that nothing else refers to is swept from the store later (`hostler.images.janitor`)."""
    IMAGE.move_all(session, statuses.DELETED, {"deleted_at": clock.utcnow(), "claimed_bytes": None},
                   where=[Image.id.in_(image_ids), Image.deleted_at.is_(None)])


def remove_unprotected(session: orm.Session, image_ids: Collection[str]) -> None:
    """Delete images that have served their turn, but for those that somebody has protected since."""
    remove(session, session.scalars(sa.select(Image.id).where(
        Image.id.in_(image_ids), Image.protected.is_(False))).all())


def _status(run: Run, image_id: str) -> str | None:
    with run.reading() as session:
        return session.scalar(sa.select(Image.status).where(Image.id == image_id, Image.deleted_at.is_(None)))
