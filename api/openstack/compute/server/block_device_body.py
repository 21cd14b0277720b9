"""Block device mappings in the body of POST /servers: the second form, by microversion, and the first where simple."""

from __future__ import annotations

from typing import Any, Final

from api.core.server.block_devices import BlockDevice
from api.openstack.compute import schema
from api.openstack.compute.microversion import Span, Version, since
from api.openstack.compute.schema import Property, members
from hostler import errors, ids

_BOOT_INDEX = {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"}
_TEXT = {"type": "string", "maxLength": 255}
_SIZE = {"type": ["integer", "string"], "pattern": "^[0-9]*$", "minimum": 1}
_FLAG = {"anyOf": [schema.BOOLEAN, {"type": "null"}]}
_MAPPING = (
    Property("source_type", {"enum": ["volume", "image", "snapshot", "blank"]}),
    Property("destination_type", {"enum": ["local", "volume"]}), Property("uuid", {**_TEXT, "minLength": 1}),
    Property("image_id", _TEXT), Property("volume_id", _TEXT), Property("snapshot_id", _TEXT),
    Property("guest_format", _TEXT), Property("device_type", _TEXT), Property("disk_bus", _TEXT),
    Property("boot_index", _BOOT_INDEX), Property("virtual_name", _TEXT), Property("device_name", _TEXT),
    Property("volume_size", _SIZE), Property("delete_on_termination", schema.BOOLEAN), Property("no_device", {}),
    Property("connection_info", {}), Property("tag", schema.TAG, Span((2, 32), (2, 32))),
    Property("tag", schema.TAG, since(42)), Property("volume_type", {**_TEXT, "type": ["string", "null"]}, since(67)))
# The versions at which one of the rows above begins or ends.
EDGES: Final = (1, 32, 33, 42, 67)
LEGACY: Final = {"type": "array", "items": {"type": "object", "additionalProperties": False, "properties": {
    "virtual_name": _TEXT, "volume_id": _TEXT, "snapshot_id": _TEXT, "volume_size": _SIZE, "device_name": _TEXT,
    "delete_on_termination": schema.BOOLEAN, "no_device": {}, "connection_info": {}}}}
_BUSES: Final = frozenset({None, "", "fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml"})
_IDS: Final = {"image": "image_id", "volume": "volume_id", "snapshot": "snapshot_id"}


def mappings(version: Version) -> dict[str, Any]:
    """Return the schema of `block_device_mapping_v2` in one version."""
    return {"type": "array", "items": members(_MAPPING, version)}


def devices(server: dict[str, Any]) -> list[BlockDevice]:
    """Return the disks that a validated body asks for; raises Invalid for contradictory mappings."""
    second, first = server.get("block_device_mapping_v2"), server.get("block_device_mapping")
    if second and first:
        raise errors.Invalid(reason="Using different block_device_mapping syntaxes is not allowed in the same request.")
    if first:
        return [_legacy(mapping, index, bool(server.get("imageRef"))) for index, mapping in enumerate(first)
                if not mapping.get("no_device")]
    return [_device(mapping) for mapping in second or () if not mapping.get("no_device")]


def _device(mapping: dict[str, Any]) -> BlockDevice:
    source = mapping.get("source_type")
    if source is None:
        raise errors.Invalid(reason="Block Device Mapping is Invalid: source_type is missing.")
    destination = mapping.get("destination_type") or ("volume" if source in ("volume", "snapshot") else "local")
    if destination == "local" and source in ("volume", "snapshot"):
        raise errors.Invalid(reason=f"Block Device Mapping is Invalid: A {source} cannot become a local disk.")
    if destination == "local" and mapping.get("volume_type"):
        raise errors.Invalid(reason="Block Device Mapping is Invalid: A local disk has no type (volume_type).")
    if source == "blank" and mapping.get("uuid"):
        raise errors.Invalid(reason="Block Device Mapping is Invalid: A blank disk is made from nothing (uuid).")
    if mapping.get("disk_bus") not in _BUSES:
        raise errors.InvalidField(field="disk_bus", value=mapping["disk_bus"][:40], reason="There is no such bus.")
    identity = mapping.get("uuid") or mapping.get(_IDS.get(source, ""))
    if identity is not None:
        identity = ids.canonical(identity)
        if identity is None:
            raise errors.Invalid(reason=f"Block Device Mapping is Invalid: The id of the {source} is not a UUID.")
    return BlockDevice(
        source=source, destination=destination, id=identity, boot_index=_boot_index(mapping.get("boot_index")),
        size_gib=_size(mapping.get("volume_size")), device_name=mapping.get("device_name"),
        delete_on_termination=schema.truth(mapping.get("delete_on_termination")),
        volume_type=mapping.get("volume_type"), guest_format=mapping.get("guest_format"), tag=mapping.get("tag"))


def _legacy(mapping: dict[str, Any], index: int, has_image: bool) -> BlockDevice:
    if mapping.get("virtual_name"):
        raise errors.NotImplementedHere(feature="Mappings with virtual_name (block_device_mapping)")
    source = "volume" if mapping.get("volume_id") else "snapshot"
    identity = ids.canonical(mapping.get("volume_id") or mapping.get("snapshot_id") or "")
    if identity is None:
        raise errors.Invalid(reason="Block Device Mapping is Invalid: A mapping names no volume or snapshot by its id.")
    # The first form has no boot index: without an image, the first disk boots.
    return BlockDevice(
        source=source, destination="volume", id=identity, boot_index=0 if index == 0 and not has_image else None,
        size_gib=_size(mapping.get("volume_size")) if source == "snapshot" else None,
        device_name=mapping.get("device_name"),
        delete_on_termination=schema.truth(mapping.get("delete_on_termination")))


def _boot_index(value: Any) -> int | None:
    """Return a boot index; None and negative values mean "do not boot from this disk"."""
    if value is None:
        return None
    if abs(int(value)) > 1000:
        raise errors.InvalidField(field="boot_index", value=str(value)[:40], reason="It is too large.")
    return int(value) if int(value) >= 0 else None


def _size(value: Any) -> int | None:
    if value in (None, ""):
        return None
    if not 0 < int(value) <= 2147483647:
        raise errors.InvalidField(field="volume_size", value=str(value)[:40], reason="It must be at least 1.")
    return int(value)
