"""Operations on volumes, their snapshots, backups and attachments."""

from __future__ import annotations

import dataclasses
from typing import Final

from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import LONG, Kind
from hostler.resources.volume import states

_VOLUME: Final = ("volume",)
_SNAPSHOT: Final = ("snapshot",)
_BACKUP: Final = ("backup",)
IN_USE: Final = "in-use"  # a status, not a state: it has attachments
_AT_REST: Final = (states.READY, states.ERROR, states.ERROR_DELETING)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CreateVolume(Arguments):
    """`source`: image, snapshot, volume, backup or None; the volume's record says which."""

    source: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeleteVolume(Arguments):
    """`cascade` removes the volume's snapshots first."""

    cascade: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtendVolume(Arguments):
    """The size it grows to."""

    size_gib: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class UploadVolume(Arguments):
    """The image that gets the content."""

    image_id: str
    disk_format: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetypeVolume(Arguments):
    """The new type; `migration_policy` (never, on-demand) says whether the volume may move for it."""

    volume_type_id: str
    migration_policy: str
    multiattach: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class MigrateVolume(Arguments):
    """The back end to move to; None: one that the scheduler finds."""

    backend_id: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RevertVolume(Arguments):
    """The snapshot whose content the volume takes."""

    snapshot_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReimageVolume(Arguments):
    """The image whose content the volume takes."""

    image_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoreBackup(Arguments):
    """The volume that gets the backup's content."""

    volume_id: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeConnection(Arguments):
    """One attachment of the volume."""

    attachment_id: str


CREATE: Final = Kind(
    name="volume.create", resources=_VOLUME, arguments=CreateVolume, ends_in=states.READY,
    shows={"volume": "creating"})
DELETE: Final = Kind(
    name="volume.delete", resources=_VOLUME, arguments=DeleteVolume, ends_in=states.DELETED,
    starts_in=(states.READY, states.ERROR, states.ERROR_RESTORING, states.ERROR_EXTENDING, states.ERROR_DELETING),
    shows={"volume": "deleting", "snapshot": "deleting"}, cancellable=False, cancels=True, patience=LONG)
EXTEND: Final = Kind(
    name="volume.extend", resources=_VOLUME, arguments=ExtendVolume, starts_in=(states.READY, IN_USE),
    ends_in=states.READY, shows={"volume": "extending"})
UPLOAD: Final = Kind(
    name="volume.upload", resources=_VOLUME, arguments=UploadVolume, starts_in=(states.READY,),
    shows={"volume": "uploading"})
RETYPE: Final = Kind(
    name="volume.retype", resources=_VOLUME, arguments=RetypeVolume, starts_in=(states.READY, IN_USE),
    shows={"volume": "retyping"})
MIGRATE: Final = Kind(
    name="volume.migrate", resources=_VOLUME, arguments=MigrateVolume, starts_in=(states.READY,))
REVERT: Final = Kind(
    name="volume.revert", resources=_VOLUME, arguments=RevertVolume, starts_in=(states.READY,), ends_in=states.READY,
    shows={"volume": "reverting", "snapshot": "restoring"}, patience=LONG)
REIMAGE: Final = Kind(
    name="volume.reimage", resources=_VOLUME, arguments=ReimageVolume, starts_in=(states.READY, states.ERROR),
    shows={"volume": "downloading"}, patience=LONG)

CREATE_SNAPSHOT: Final = Kind(
    name="snapshot.create", resources=_SNAPSHOT, arguments=Arguments, ends_in=states.READY,
    shows={"snapshot": "creating"})
DELETE_SNAPSHOT: Final = Kind(
    name="snapshot.delete", resources=_SNAPSHOT, arguments=Arguments, starts_in=_AT_REST, ends_in=states.DELETED,
    shows={"snapshot": "deleting"}, cancellable=False, cancels=True, patience=LONG)

CREATE_BACKUP: Final = Kind(
    name="backup.create", resources=_BACKUP, arguments=Arguments, ends_in=states.READY,
    shows={"backup": "creating", "volume": "backing-up", "snapshot": "backing-up"})
DELETE_BACKUP: Final = Kind(
    name="backup.delete", resources=_BACKUP, arguments=Arguments, starts_in=_AT_REST, ends_in=states.DELETED,
    shows={"backup": "deleting"}, cancellable=False, cancels=True, patience=LONG)
RESTORE_BACKUP: Final = Kind(
    name="backup.restore", resources=_BACKUP, arguments=RestoreBackup, starts_in=(states.READY,),
    shows={"backup": "restoring", "volume": "restoring-backup"}, patience=LONG)

CONNECT_ATTACHMENT: Final = Kind(
    name="attachment.connect", resources=_VOLUME, arguments=VolumeConnection, shows={"volume": "attaching"})
DELETE_ATTACHMENT: Final = Kind(
    name="attachment.delete", resources=_VOLUME, arguments=VolumeConnection, shows={"volume": "detaching"},
    cancellable=False)

KINDS: Final = (CREATE, DELETE, EXTEND, UPLOAD, RETYPE, MIGRATE, REVERT, REIMAGE, CREATE_SNAPSHOT, DELETE_SNAPSHOT,
                CREATE_BACKUP, DELETE_BACKUP, RESTORE_BACKUP, CONNECT_ATTACHMENT, DELETE_ATTACHMENT)
