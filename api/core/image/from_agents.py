"""Content that agents send for images: sent as often as it takes, stored once.

An agent that died while it sent begins again after its restart, and sends again after its api died. Its earlier
request may still hold the image: in a living process, which notices soon that nobody sends any more, or in a dead one,
which never will. The two are told apart by the mark that a living one renews every few seconds.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from api.core.image.data import Blocks, receive
from api.services import Services
from hostler import errors, ids
from hostler.db.models import Image
from hostler.images import statuses, uploads

# How long a request waits for an earlier one; then the agent is told to send again.
_PATIENCE_S = 15.0
_LOOK_EVERY_S = 0.2


def receive_from_agent(services: Services, image_id: str, blocks: Blocks) -> None:
    """Store what an agent sends for a waiting image; sending it again changes nothing.

    The caller has checked the signature. Raises NotFound, InvalidState, UnsupportedImage, TooLarge, and Unavailable
    where another request is at it, so that the agent sends again; after a failure the image is queued, until the
    operation that wanted it says that it failed.
    """
    image = _waiting_image(services, image_id)
    if image.status == statuses.ACTIVE:
        _discard(blocks)
        return
    try:
        with uploads.working(services.db, services.conf, image, statuses.QUEUED, statuses.SAVING, action="upload"):
            receive(services, image, statuses.SAVING, blocks)
    except errors.Conflict:
        # Two requests met. Whichever stored its content, it is this image's.
        status = _find(services, image_id).status
        if status in (statuses.QUEUED, statuses.SAVING):
            raise _busy(image_id) from None
        if status != statuses.ACTIVE:
            raise
        _discard(blocks)


def _waiting_image(services: Services, image_id: str) -> Image:
    """Return the image once no other request holds it.

    This process's clock measures for how long the mark stayed the same: those of two nodes may differ.
    """
    began_at = seen_at = time.monotonic()
    seen = image = _find(services, image_id)
    while image.status == statuses.SAVING:
        now = time.monotonic()
        if image.updated_at != seen.updated_at:
            seen, seen_at = image, now
        if now - seen_at > uploads.DEAD_AFTER_S:
            uploads.take_over(services.db, image)
        elif now - began_at > _PATIENCE_S:
            raise _busy(image_id)
        time.sleep(_LOOK_EVERY_S)
        image = _find(services, image_id)
    return image


def _find(services: Services, image_id: str) -> Image:
    with services.db.reading() as session:
        image = session.scalars(sa.select(Image).where(
            Image.id == (ids.canonical(image_id) or ""), Image.deleted_at.is_(None))).one_or_none()
    if image is None:
        raise errors.NotFound(resource="Image", id=image_id)
    return image


def _busy(image_id: str) -> errors.Unavailable:
    return errors.Unavailable(f"Another request sends the data of image {image_id}.", part="image store")


def _discard(blocks: Blocks) -> None:
    for _block in blocks.source:
        pass  # a client reads the answer only once it has sent everything
