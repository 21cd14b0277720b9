"""Image verbs that move bytes: upload, stage and import, download."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from api.core.image.access import find_for
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Image
from hostler.images import claims, statuses, uploads
from hostler.images.inspect import Inspection

IMPORT_METHODS = ("glance-direct",)
STORE_ID = "file"


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
        receive(services, image, statuses.SAVING, blocks)


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
            receive(services, image, statuses.IMPORTING, Blocks(services.images.staged_blocks(image.id)))
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


def receive(services: Services, image: Image, during: str, blocks: Blocks) -> None:
    """Inspect and store the data of an image in status `during`, which becomes active."""
    inspection = Inspection(image.id, image.disk_format or "", image.container_format or "",
                            services.conf.image.max_virtual_size_gib << 30)
    services.images.receive(
        inspection.watch(_claimed(services, image, blocks)),
        lambda content: uploads.activate(services.db, image, during, content, inspection),
        uploads.is_referenced(services.db))
