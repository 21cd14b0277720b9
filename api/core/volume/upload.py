"""Making an image of a volume: a queued image is written together with the operation that fills it."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume.volumes import agent_of
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Image, Volume
from hostler.images import claims
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import volume as kinds
from hostler.resources import quota

DISK_FORMATS: Final = ("raw", "qcow2")
CONTAINER_FORMATS: Final = ("bare",)
_P: Final = "volume_extension:volume_actions:"
# What a volume remembers of its image that does not become a property of the new image.
_NOT_PROPERTIES: Final = frozenset({"image_id", "image_name", "checksum", "size", "container_format", "disk_format",
                                    "min_disk", "min_ram"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upload:
    """What the image shall be."""

    name: str
    disk_format: str = "raw"
    container_format: str = "bare"
    visibility: str = "shared"
    protected: bool = False


def upload(services: Services, context: RequestContext, volume_id: str, wanted: Upload) -> tuple[Any, str]:
    """Accept the upload; return the volume's row and the image's id.

    Raises WrongStatus unless the volume is available, Invalid for a format that is not made here, QuotaExceeded.
    """
    _check_formats(wanted)
    if wanted.visibility == "public":
        services.policy.check(context, _P + "upload_public")

    def work(session: orm.Session) -> tuple[str, str, str]:
        volume = volume_rows.to_change(services, session, context, volume_id, _P + "upload_image")
        volume_rows.check_status(session, volume, *kinds.UPLOAD.starts_in)
        quota.claim(services.db, session, services.conf, str(context.project_id), {
            "images": 1, claims.SIZE: volume.size_gib << 10})
        image = _image(context, volume, wanted)
        session.add(image)
        session.flush()
        operation = accept(
            session, context, kinds.UPLOAD, Target("volume", volume.id),
            kinds.UploadVolume(image_id=image.id, disk_format=wanted.disk_format),
            also_lock=[Target("image", image.id)], project_id=volume.project_id, agent=agent_of(session, volume))
        return volume.id, image.id, operation.id

    held_id, image_id, operation_id = in_turn(services, work)
    services.waker.wake(context, operation_id)
    with services.db.reading() as session:
        return volume_rows.find(session, context, held_id), image_id


def _check_formats(wanted: Upload) -> None:
    for field, value, known in (("disk_format", wanted.disk_format, DISK_FORMATS),
                                ("container_format", wanted.container_format, CONTAINER_FORMATS)):
        if value not in known:
            raise errors.InvalidField(field=field, value=value[:80],
                                      reason=f"Volumes are made into images of {' or '.join(known)} alone.")


def _image(context: RequestContext, volume: Volume, wanted: Upload) -> Image:
    remembered = volume.image_metadata or {}
    return Image(
        id=ids.new_id(), name=wanted.name, project_id=context.project_id, status="queued",
        visibility=wanted.visibility, protected=wanted.protected, disk_format=wanted.disk_format,
        container_format=wanted.container_format, min_ram_mib=_number(remembered.get("min_ram")),
        # A qcow2 or raw image of a volume fills that volume's size again.
        min_disk_gib=volume.size_gib, claimed_bytes=volume.size_gib << 30,
        properties={key: value for key, value in remembered.items() if key not in _NOT_PROPERTIES})


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 9 else 0
