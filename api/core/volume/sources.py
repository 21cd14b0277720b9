"""What a new volume may be made from: images, snapshots, volumes and backups the caller sees, whole and at rest.

A source is held till the transaction ends, and no operation may have it: nobody can begin to delete it between the
look and the new volume's row, which from then on says that it is being made from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.image import access as image_access
from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backup, Image, Snapshot, Volume
from hostler.operations.accept import Target, check_unlocked
from hostler.resources.volume import states

_GIB: Final = 1024 ** 3
_FORMATS: Final = ("raw", "qcow2")
# Image property that names the volume type of volumes made from it.
_IMAGE_TYPE: Final = "cinder_img_volume_type"
_IMAGE_KEY: Final = "cinder_encryption_key_id"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """What a new volume takes over. `min_gib` is the least size it may have; `type_name` may be an id."""

    kind: str  # image, snapshot, volume, backup
    id: str
    min_gib: int
    zone: str | None = None
    type_name: str | None = None
    bootable: bool = False
    image_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


Finder = Callable[[Services, orm.Session, RequestContext, str], Source]


def find_image(services: Services, session: orm.Session, context: RequestContext, image_id: str) -> Source:
    """Return an active image the caller sees, whose format a volume can be made of; raises Invalid, Forbidden."""
    services.policy.check(context, "volume:create_from_image")
    try:
        image = image_access.find(session, services.policy, context, image_id.rsplit("/", 1)[-1])
    except errors.NotFound:
        raise errors.Invalid(reason="Invalid image identifier or unable to access requested image.") from None
    if image.status != "active":
        raise errors.Invalid(reason=f"Image {image.id} is not active (its status is {image.status}).")
    if image.disk_format not in _FORMATS or image.container_format != "bare":
        raise errors.Invalid(reason=f"Image {image.id} is unacceptable: volumes are made of bare images of format "
                                    f"{' or '.join(_FORMATS)}, not {image.container_format}/{image.disk_format}.")
    properties = dict(image.properties or {})
    if _IMAGE_KEY in properties:
        raise errors.Invalid(reason=f"Image {image.id} is encrypted; this cloud does not support encrypted volumes.")
    return Source(kind="image", id=image.id, min_gib=max(1, image.min_disk_gib, _gib_of(image)), bootable=True,
                  type_name=properties.get(_IMAGE_TYPE), image_metadata=image_metadata_of(image))


def check_image_fits(session: orm.Session, image_id: str, size_gib: int) -> None:
    """Raise Invalid, with both numbers, when a volume of `size_gib` is too small for the image."""
    image = session.get_one(Image, image_id)
    if size_gib < _gib_of(image):
        raise errors.Invalid(reason=f"Size of specified image {_gib_of(image)}GB is larger than volume size "
                                    f"{size_gib}GB.")
    if size_gib < image.min_disk_gib:
        raise errors.Invalid(reason=f"Volume size {size_gib}GB cannot be smaller than the image minDisk size "
                                    f"{image.min_disk_gib}GB.")


def image_metadata_of(image: Image) -> dict[str, str]:
    """Return what a volume remembers of the image it was made from, all of it text."""
    facts: dict[str, Any] = {
        "image_id": image.id, "image_name": image.name, "checksum": image.md5, "size": image.size_bytes,
        "container_format": image.container_format, "disk_format": image.disk_format, "min_disk": image.min_disk_gib,
        "min_ram": image.min_ram_mib}
    return {key: str(value) for key, value in {**(image.properties or {}), **facts}.items() if value is not None}


def find_snapshot(services: Services, session: orm.Session, context: RequestContext, snapshot_id: str) -> Source:
    """Return an available snapshot of the caller's, held; raises NotFound, WrongStatus, ResourceLocked."""
    snapshot: Snapshot = _find(services, session, context, Snapshot, snapshot_id)
    volume = session.get_one(Volume, snapshot.volume_id)
    return Source(kind="snapshot", id=snapshot.id, min_gib=snapshot.size_gib, **_taken_over(volume))


def find_volume(services: Services, session: orm.Session, context: RequestContext, volume_id: str) -> Source:
    """Return an available volume of the caller's, held; raises NotFound, WrongStatus, ResourceLocked."""
    volume: Volume = _find(services, session, context, Volume, volume_id)
    volume_rows.check_status(session, volume, states.READY)
    return Source(kind="volume", id=volume.id, min_gib=volume.size_gib, **_taken_over(volume))


def find_backup(services: Services, session: orm.Session, context: RequestContext, backup_id: str) -> Source:
    """Return an available backup of the caller's, held; raises NotFound, WrongStatus, ResourceLocked."""
    backup: Backup = _find(services, session, context, Backup, backup_id)
    # A deleted volume's record still says what it was.
    volume = session.get(Volume, backup.volume_id) if backup.volume_id is not None else None
    taken_over = _taken_over(volume) if volume is not None else {}
    return Source(kind="backup", id=backup.id, min_gib=backup.size_gib, **{**taken_over, "zone": None,
                                                                         "type_name": None})


FINDERS: Final[Mapping[str, Finder]] = {
    "snapshot": find_snapshot, "image": find_image, "volume": find_volume, "backup": find_backup}


def _find(services: Services, session: orm.Session, context: RequestContext, model: Any, identity: str) -> Any:
    noun = model.__name__
    row = session.get(model, ids.canonical(identity) or "")
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise errors.NotFound(resource=noun, id=identity)
    services.db.lock_row(session, model, model.id == row.id)
    session.refresh(row)
    if row.deleted_at is not None:
        raise errors.NotFound(resource=noun, id=identity)
    check_unlocked(session, [Target(noun.lower(), row.id)])
    if row.state != states.READY:
        raise errors.WrongStatus(resource=noun.lower(), id=row.id, allowed=states.READY, status=row.state)
    return row


def _taken_over(volume: Volume) -> dict[str, Any]:
    return {"zone": volume.zone, "type_name": volume.volume_type_id, "bootable": volume.bootable,
            "image_metadata": dict(volume.image_metadata or {})}


def _gib_of(image: Image) -> int:
    return -(-max(image.virtual_size_bytes or 0, image.size_bytes or 0) // _GIB)


def source_fields(source: Source | None) -> dict[str, str | None]:
    """Return the columns of a new volume that say what it is made from."""
    names = {"image": "image_id", "snapshot": "snapshot_id", "volume": "source_volume_id", "backup": "backup_id"}
    return {column: source.id if source is not None and source.kind == kind else None
            for kind, column in names.items()}


def check_heirs_of_snapshot(session: orm.Session, snapshot_id: str) -> None:
    """Raise InUse when a volume is being made from the snapshot."""
    heir = session.scalar(sa.select(Volume.id).where(
        Volume.snapshot_id == snapshot_id, Volume.state == states.CREATING, Volume.deleted_at.is_(None)).limit(1))
    if heir is not None:
        raise errors.InUse(resource="Snapshot", id=snapshot_id, reason=f"volume {heir} is being made from it.")
