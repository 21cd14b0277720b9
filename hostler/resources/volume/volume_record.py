"""What is remembered of a volume beside its content, when a snapshot or backup of it is made.

A volume made from the copy later gets it, whatever became of the volume in between: it may be deleted, purged, or given
to another project, whose writes must not be seen. Rows older than this record have none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hostler.db.models import Image, Volume


def image_metadata_of(image: Image) -> dict[str, str]:
    """Return what a volume remembers of the image it was made from, all of it text."""
    columns: dict[str, Any] = {
        "image_id": image.id, "image_name": image.name, "checksum": image.md5, "size": image.size_bytes,
        "container_format": image.container_format, "disk_format": image.disk_format, "min_disk": image.min_disk_gib,
        "min_ram": image.min_ram_mib}
    return {key: str(value) for key, value in {**(image.properties or {}), **columns}.items() if value is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeRecord:
    """The part of a volume's row that a copy of it takes over."""

    name: str = ""
    description: str | None = None
    zone: str | None = None
    volume_type_id: str | None = None
    bootable: bool = False
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    image_metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, volume: Volume) -> VolumeRecord:
        """Return the record of a volume as it is now."""
        return cls(name=volume.name, description=volume.description, zone=volume.zone,
                   volume_type_id=volume.volume_type_id, bootable=volume.bootable, metadata=dict(volume.extra),
                   image_metadata=dict(volume.image_metadata))

    @classmethod
    def kept(cls, copy: Any, volume: Volume | None) -> VolumeRecord:
        """Return the record kept with a snapshot or backup, else that of its volume if its project still has it."""
        if copy.volume_record is not None:
            return cls(**copy.volume_record)
        if volume is not None and volume.project_id == copy.project_id:
            return cls.of(volume)
        return cls()

    def to_row(self) -> dict[str, Any]:
        """Return it as the column `volume_record` holds it."""
        return dataclasses.asdict(self)
