"""Images without content of their own: their properties name snapshots of a server's volumes, which a boot copies.

The properties are the reference's: `block_device_mapping` (JSON, one item per disk), `bdm_v2` and `root_device_name`.
Anybody may set them on an image, so nothing is taken from them unchecked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from api.core.server.block_devices import BlockDevice
from hostler import errors, ids
from hostler.db.models import Image, Snapshot, VolumeAttachment

_DISKS: Final = "block_device_mapping"
_SECOND_FORM: Final = "bdm_v2"
_ROOT: Final = "root_device_name"
PROPERTIES: Final = frozenset({_DISKS, _SECOND_FORM, _ROOT})
_LONGEST: Final = 64  # items; a server never has as many disks
_EMPTY: Final[Mapping[str, None]] = dict.fromkeys((
    "guest_format", "volume_id", "image_id", "no_device", "tag", "volume_type", "encrypted", "encryption_secret_uuid",
    "encryption_format", "encryption_options"))
_IDS: Final = {"volume": "volume_id", "snapshot": "snapshot_id", "image": "image_id"}


def properties_of(copies: Iterable[tuple[VolumeAttachment, Snapshot]]) -> dict[str, str]:
    """Return the properties of an image of a server whose volumes were copied into these snapshots."""
    disks = [{**_EMPTY, "source_type": "snapshot", "destination_type": "volume", "snapshot_id": snapshot.id,
              "boot_index": attachment.boot_index, "device_name": f"/dev/{attachment.device}", "disk_bus": "virtio",
              "device_type": "disk", "volume_size": snapshot.size_gib,
              "delete_on_termination": attachment.delete_on_termination} for attachment, snapshot in copies]
    root = next(disk["device_name"] for disk in disks if disk["boot_index"] == 0)
    return {_DISKS: json.dumps(disks), _SECOND_FORM: "True", _ROOT: str(root)}


def devices_of(image: Image) -> list[BlockDevice]:
    """Return the disks that an image names; raises Invalid for properties that make no sense."""
    text = image.properties.get(_DISKS)
    if not text:
        return []
    if str(image.properties.get(_SECOND_FORM)).lower() not in ("true", "1", "yes"):
        raise _broken(image, "only disks of the second form (bdm_v2) are supported")
    try:
        found = json.loads(text)
    except ValueError:
        raise _broken(image, "it is not JSON") from None
    if not isinstance(found, list) or len(found) > _LONGEST or not all(isinstance(disk, dict) for disk in found):
        raise _broken(image, "it is not a list of disks")
    return [_device(image, disk) for disk in found if not disk.get("no_device")]


def root_snapshot(image: Image) -> str | None:
    """Return the snapshot that has an image's content, None for an image with content of its own."""
    return next((device.id for device in devices_of(image)
                 if device.boot_index == 0 and device.source == "snapshot"), None)


def described(image: Image) -> dict[str, Any]:
    """Return the properties of an image that say more than which disks it names."""
    return {name: value for name, value in image.properties.items() if name not in PROPERTIES}


def merged(devices: Sequence[BlockDevice], of_image: Sequence[BlockDevice]) -> list[BlockDevice]:
    """Return the disks that a request asks for, and those of its image that it does not replace by name.

    An image that names its root disk has no content to boot from, so mappings of the image itself go.
    """
    if any(device.boot_index == 0 for device in of_image):
        devices = [device for device in devices if (device.boot_index, device.source) != (0, "image")]
    replaced = {_bare(device.device_name) for device in devices if device.device_name}
    return [*devices, *(device for device in of_image if _bare(device.device_name) not in replaced)]


def _device(image: Image, disk: Mapping[str, Any]) -> BlockDevice:
    source = disk.get("source_type")
    destination = disk.get("destination_type") or ("volume" if source in ("volume", "snapshot") else "local")
    identity = disk.get(_IDS.get(str(source), "")) or disk.get("uuid")
    boot_index, size_gib, name = disk.get("boot_index"), disk.get("volume_size"), disk.get("device_name")
    if source not in (*_IDS, "blank") or destination not in ("volume", "local"):
        raise _broken(image, "a disk has an unknown source or destination")
    if destination == "local" and source in ("volume", "snapshot"):
        raise _broken(image, f"a {source} cannot become a local disk")
    if identity is not None and (not isinstance(identity, str) or ids.canonical(identity) is None):
        raise _broken(image, "a disk's id is not a UUID")
    if not all(value is None or type(value) is int and value < 1 << 31 for value in (boot_index, size_gib)):
        raise _broken(image, "a disk's boot_index or volume_size is not a number")
    if not all(value is None or isinstance(value, str) for value in (name, disk.get("guest_format"))):
        raise _broken(image, "a disk's device_name or guest_format is not a string")
    return BlockDevice(
        source=str(source), destination=destination, id=ids.canonical(identity) if identity else None,
        boot_index=boot_index if boot_index is not None and boot_index >= 0 else None, size_gib=size_gib or None,
        delete_on_termination=disk.get("delete_on_termination") is True, device_name=name,
        guest_format=disk.get("guest_format"))


def _bare(name: str | None) -> str | None:
    return name.removeprefix("/dev/") if name is not None else None


def _broken(image: Image, reason: str) -> errors.Invalid:
    return errors.Invalid(reason=f"Block Device Mapping is Invalid: property {_DISKS} of image {image.id}: {reason}.")
