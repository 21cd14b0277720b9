"""What a new volume may be made from: images, snapshots, volumes and backups the caller sees, whole and at rest.

A source is held till the transaction ends, and no operation may have it: nobody can begin to delete it between the
check and the new volume's row, which from then on says that it is being made from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.image import access as image_access
from api.core.server import image_disks
from api.core.volume import availability_zones as volume_zones
from api.core.volume import rows as volume_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Backend, Backup, Image, Snapshot, Volume, VolumeNode, VolumeType, Zone
from hostler.operations.accept import Target, check_unlocked
from hostler.resources.volume import states
from hostler.resources.volume.volume_record import VolumeRecord, image_metadata_of

_GIB: Final = 1024 ** 3
_BACKEND_NAME: Final = "volume_backend_name"
_WHAT: Final = {"snapshot": "snapshot", "volume": "source volume", "backup": "backup"}
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
    zone: str | None = None  # where the new volume goes unless the request names a zone
    zones: Sequence[str] | None = None  # the only ones whose back ends reach the content; None: all do
    backend_id: str | None = None  # the only one that has the content; None: several may
    type_name: str | None = None
    bootable: bool = False
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    image_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


Finder = Callable[[Services, orm.Session, RequestContext, str], Source]


def find_image(services: Services, session: orm.Session, context: RequestContext, image_id: str) -> Source:
    """Return an active image the caller sees, whose format a volume can be made of; raises Invalid, Forbidden.

    Of an image that names snapshots in place of content, it is the snapshot of the root disk.
    """
    services.policy.check(context, "volume:create_from_image")
    try:
        image = image_access.find(session, services.policy, context, image_id.rsplit("/", 1)[-1])
    except errors.NotFound:
        raise errors.Invalid(reason="Invalid image identifier or unable to access requested image.") from None
    if image.status != "active":
        raise errors.Invalid(reason=f"Image {image.id} is not active (its status is {image.status}).")
    snapshot_id = image_disks.root_snapshot(image)
    if snapshot_id is not None:
        return find_snapshot(services, session, context, snapshot_id)
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


def find_snapshot(services: Services, session: orm.Session, context: RequestContext, snapshot_id: str) -> Source:
    """Return an available snapshot of the caller's, held; raises NotFound, WrongStatus, ResourceLocked."""
    snapshot: Snapshot = _find(services, session, context, Snapshot, snapshot_id)
    volume = session.get_one(Volume, snapshot.volume_id)
    record = VolumeRecord.kept(snapshot, volume)
    if volume.project_id == snapshot.project_id:
        record = dataclasses.replace(VolumeRecord.of(volume), image_metadata=record.image_metadata)
    return Source(kind="snapshot", id=snapshot.id, min_gib=snapshot.size_gib, zones=(volume.zone,),
                  backend_id=volume.backend_id, **_taken_over(session, dataclasses.replace(record, zone=volume.zone)))


def find_volume(services: Services, session: orm.Session, context: RequestContext, volume_id: str) -> Source:
    """Return an available volume of the caller's, held; raises NotFound, WrongStatus, ResourceLocked."""
    volume: Volume = _find(services, session, context, Volume, volume_id)
    volume_rows.check_status(session, volume, states.READY)
    return Source(kind="volume", id=volume.id, min_gib=volume.size_gib, zones=(volume.zone,),
                  backend_id=volume.backend_id, **_taken_over(session, VolumeRecord.of(volume)))


def find_backup(services: Services, session: orm.Session, context: RequestContext, backup_id: str) -> Source:
    """Return an available backup of the caller's, held; raises NotFound, WrongStatus, ResourceLocked."""
    backup: Backup = _find(services, session, context, Backup, backup_id)
    volume = session.get(Volume, backup.volume_id) if backup.volume_id is not None else None
    record = VolumeRecord.kept(backup, volume)
    zones = session.scalars(sa.select(Zone.name).join(VolumeNode, VolumeNode.zone_id == Zone.id).where(
        VolumeNode.backup_store == backup.store).distinct().order_by(Zone.name)).all()
    zone = next((name for name in (record.zone, volume_zones.default_zone(services), *zones) if name in zones), None)
    return Source(kind="backup", id=backup.id, min_gib=backup.size_gib, zones=zones, metadata=record.metadata,
                  **_taken_over(session, dataclasses.replace(record, zone=zone)))


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


def _taken_over(session: orm.Session, record: VolumeRecord) -> dict[str, Any]:
    type_id = record.volume_type_id
    if type_id is not None and session.get(VolumeType, type_id) is None:
        type_id = None  # deleted since
    return {"zone": record.zone, "type_name": type_id, "bootable": record.bootable,
            "image_metadata": record.image_metadata}


def _gib_of(image: Image) -> int:
    return -(-max(image.virtual_size_bytes or 0, image.size_bytes or 0) // _GIB)


def source_fields(source: Source | None) -> dict[str, str | None]:
    """Return the columns of a new volume that say what it is made from."""
    names = {"image": "image_id", "snapshot": "snapshot_id", "volume": "source_volume_id", "backup": "backup_id"}
    return {column: source.id if source is not None and source.kind == kind else None
            for kind, column in names.items()}


def check_place(session: orm.Session, source: Source, zone: str, volume_type: VolumeType | None) -> None:
    """Raise Invalid when no back end of `zone` reaches the source, or the one that has it is not for `volume_type`."""
    if source.zones is not None and zone not in source.zones:
        reached = f"it can be reached in {', '.join(source.zones)} only" if source.zones else "no back end reaches it"
        raise errors.Invalid(reason=f"Volume must be in the same availability zone as the {_WHAT[source.kind]}: "
                                    f"'{zone}' was asked for, {reached}.")
    if source.backend_id is None or volume_type is None or volume_type.id == source.type_name:
        return
    wanted = volume_type.extra_specs.get(_BACKEND_NAME)
    backend = session.get(Backend, source.backend_id)
    if wanted is not None and backend is not None and backend.capabilities.get(_BACKEND_NAME) != wanted:
        raise errors.Invalid(reason=f"Invalid volume_type provided: {volume_type.name} (requested type is not "
                                    "compatible; recommend omitting the type argument).")


def check_heirs_of_snapshot(session: orm.Session, snapshot: Snapshot) -> None:
    """Raise InUse while a volume is being made from the snapshot."""
    volume_rows.check_no_heir(session, snapshot, Volume.snapshot_id == snapshot.id)
