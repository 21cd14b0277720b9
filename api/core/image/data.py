"""Image verbs that move bytes: upload, stage and import, download."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator

import sqlalchemy as sa

from api.core.image.access import find_for
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Image
from hostler.images import claims, statuses, uploads
from hostler.images.inspect import Inspection

IMPORT_METHODS = ("glance-direct",)
STORE_ID = "file"
# How long a sender waits for another sender of the same image to finish.
_PATIENCE_S = 15.0
_LOOK_EVERY_S = 0.2


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Data as a client sends it. `expected_bytes` is its length, if the client announced one."""

    source: Iterable[bytes]
    expected_bytes: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks; raises Invalid when there are fewer or more bytes than announced."""
        received = 0
        for block in self.source:
            received += len(block)
            yield block
        if self.expected_bytes is not None and received != self.expected_bytes:
            raise errors.Invalid(
                reason=f"The data has {received} bytes where {self.expected_bytes} were announced.")


def upload(services: Services, context: RequestContext, image_id: str, blocks: Blocks) -> None:
    """Store the data of a queued image, which becomes active; after any failure it is queued and has no data.

    Raises InvalidState unless it is queued, Invalid when a format is not set, UnsupportedImage,
    TooLarge, QuotaExceeded.
    """
    image = _image_for_data(services, context, image_id)
    with uploads.working(services.db, services.conf, image, statuses.QUEUED, statuses.SAVING, action="upload"):
        _receive(services, image, statuses.SAVING, blocks)


def receive_from_agent(services: Services, image_id: str, blocks: Blocks) -> None:
    """Store what an agent sends for a waiting image; sending it again changes nothing.

    The caller has checked the signature. An agent that died while sending may try again, so its first request gets a
    moment to end. Raises NotFound, InvalidState, UnsupportedImage, TooLarge; after a failure the image is queued,
    until the operation that wanted it says that it failed.
    """
    image = _waiting_image(services, image_id)
    if image.status == statuses.ACTIVE:
        for _block in blocks:
            pass  # a client reads the answer only once it has sent everything
        return
    with uploads.working(services.db, services.conf, image, statuses.QUEUED, statuses.SAVING, action="upload"):
        _receive(services, image, statuses.SAVING, blocks)


def _waiting_image(services: Services, image_id: str) -> Image:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with services.db.reading() as session:
            image = session.scalars(sa.select(Image).where(
                Image.id == (ids.canonical(image_id) or ""), Image.deleted_at.is_(None))).one_or_none()
        if image is None:
            raise errors.NotFound(resource="Image", id=image_id)
        if image.status != statuses.SAVING or time.monotonic() > deadline:
            return image
        time.sleep(_LOOK_EVERY_S)


def stage(services: Services, context: RequestContext, image_id: str, blocks: Blocks) -> None:
    """Keep the data of a queued image aside until it is imported."""
    with services.db.reading() as session:
        image = find_for(session, services.policy, context, image_id, "upload_image")
    with uploads.working(services.db, services.conf, image, statuses.QUEUED, statuses.UPLOADING, action="stage"):
        services.images.stage(image.id, _claimed(services, image, blocks))


def import_staged(services: Services, context: RequestContext, image_id: str) -> None:
    """Make the staged data of an image its data; after a failure the image is queued and nothing is staged."""
    image = _image_for_data(services, context, image_id)
    if not services.images.has_staged(image.id):
        raise errors.InvalidState(action="import", resource="image", id=image.id, attribute="status",
                                  state=image.status)
    with uploads.working(services.db, services.conf, image, statuses.UPLOADING, statuses.IMPORTING, action="import"):
        try:
            _receive(services, image, statuses.IMPORTING, Blocks(services.images.staged_blocks(image.id)))
        finally:
            services.images.unstage(image.id)


def open_data(services: Services, context: RequestContext, image_id: str) -> Image:
    """Return the image whose data the caller may download; `sha256` is None when it has none.

    Raises Forbidden for a deactivated image, unless the caller may see those.
    """
    with services.db.reading() as session:
        image = find_for(session, services.policy, context, image_id, "download_image")
    if image.status == "deactivated":
        services.policy.check(context, "download_deactivated_image")
    return image


def _image_for_data(services: Services, context: RequestContext, image_id: str) -> Image:
    with services.db.reading() as session:
        image = find_for(session, services.policy, context, image_id, "upload_image")
    missing = [name for name in ("disk_format", "container_format") if getattr(image, name) is None]
    if missing:
        raise errors.Invalid(reason=f"Properties {', '.join(missing)} must be set prior to saving data.")
    return image


def _claimed(services: Services, image: Image, blocks: Blocks) -> Iterator[bytes]:
    return claims.Claim(services.db, services.conf, image).watch(blocks, blocks.expected_bytes)


def _receive(services: Services, image: Image, during: str, blocks: Blocks) -> None:
    inspection = Inspection(image.id, image.disk_format or "", image.container_format or "",
                            services.conf.image.max_virtual_size_gib << 30)
    services.images.receive(
        inspection.watch(_claimed(services, image, blocks)),
        lambda content: uploads.activate(services.db, image, during, content, inspection),
        uploads.is_referenced(services.db))
