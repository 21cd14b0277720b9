"""Sorts the disks requested for a new server (root disk, volumes) and refuses contradictions.

Nothing is looked up here: `api.core.server.disks` finds the images, snapshots and volumes that are named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from hostler import errors

_BOOT_SEQUENCE: Final = ("Block Device Mapping is Invalid: Boot sequence for the instance and image/block device "
                         "mapping combination is not valid.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockDevice:
    """One disk asked for: from `source` (volume, snapshot, image, blank) to `destination` (volume, local)."""

    source: str
    destination: str
    id: str | None = None
    boot_index: int | None = None
    size_gib: int | None = None
    delete_on_termination: bool = False
    device_name: str | None = None
    volume_type: str | None = None
    guest_format: str | None = None
    tag: str | None = None


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """The disks of a server: an image on a local root disk, or (with None) a volume with boot_index 0; volumes in the
    order in which they get their names."""

    image_id: str | None
    volumes: tuple[BlockDevice, ...]


def arrange(devices: Sequence[BlockDevice], image_id: str | None, *, ephemeral_gib: int, swap_mib: int) -> Arrangement:
    """Return the disks of a server whose flavor has these local ones; raises Invalid, NotImplementedHere."""
    images = [device for device in devices if device.source == "image" and device.destination == "local"]
    for device in images:
        if device.boot_index != 0 or image_id != device.id or len(images) > 1:
            raise errors.Invalid(reason="Block Device Mapping is Invalid: Mapping image to local is only supported for "
                                        "the image that the instance boots from (imageRef), with boot_index 0.")
    for device in devices:
        if device.source == "blank" and device.destination == "local":
            _check_local(device, ephemeral_gib, swap_mib)
    volumes = [device for device in devices if device.destination == "volume"]
    for device in volumes:
        _check_volume(device)
    boots = sorted(device.boot_index for device in volumes if device.boot_index is not None)
    local_root = bool(images) or (image_id is not None and 0 not in boots)
    if [0, *boots] != list(range(len(boots) + 1)) if local_root else boots != list(range(len(boots))) or not boots:
        raise errors.Invalid(reason=_BOOT_SEQUENCE)
    ordered = sorted(volumes, key=lambda device: (device.boot_index is None, device.boot_index or 0))
    return Arrangement(image_id if local_root else None, tuple(ordered))


def _check_local(device: BlockDevice, ephemeral_gib: int, swap_mib: int) -> None:
    """Accept the flavor's own ephemeral and swap disks, in full size."""
    if device.boot_index is not None:
        raise errors.Invalid(reason=_BOOT_SEQUENCE)
    if device.guest_format == "swap":
        if (device.size_gib or swap_mib) != swap_mib or not swap_mib:
            raise errors.Invalid(reason="Block Device Mapping is Invalid: Swap drive requested is not the flavor's "
                                        f"({swap_mib} MiB).")
    elif (device.size_gib or ephemeral_gib) != ephemeral_gib or not ephemeral_gib:
        raise errors.Invalid(reason="Block Device Mapping is Invalid: Ephemeral disks requested are not the flavor's "
                                    f"({ephemeral_gib} GiB).")


def _check_volume(device: BlockDevice) -> None:
    if device.source != "blank" and device.id is None:
        raise errors.Invalid(reason=f"Block Device Mapping is Invalid: Missing device UUID of a {device.source}.")
    if device.source in ("image", "blank") and not device.size_gib:
        what = "Images with destination_type 'volume'" if device.source == "image" else \
            "Blank volumes (source: 'blank', dest: 'volume')"
        raise errors.Invalid(reason=f"Block Device Mapping is Invalid: {what} need to have a non-zero size specified")
    if device.source == "volume" and device.volume_type:
        raise errors.Invalid(reason="Block Device Mapping is Invalid: A volume that exists has its type already "
                                    "(volume_type).")
