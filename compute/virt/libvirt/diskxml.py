"""Disks in domain XML: files of the server itself, and volumes over any transport.

A volume is known by its alias `ua-<volume id>`, in the guest that runs and in its definition. The boot order is
set disk by disk, since the root disk may be a volume.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lxml import etree

from compute.virt.driver import Disk, FileSource, NbdSource, RbdSource, VolumeDisk
from compute.virt.libvirt.elements import add
from hostler import errors

_CONFIG_TARGET = "vdz"
_DRIVE_TARGET = "sdy"
_SATA_UNITS = {"a": 0, "y": 1, "aa": 2}  # of six: the ISO that the guest boots from, that drive, a rescue disk
_ALIAS = "ua-"


def alias_of(volume_id: str) -> str:
    """Return the alias of a volume's disk."""
    return _ALIAS + volume_id


def volume_of(alias: str) -> str | None:
    """Return the volume whose disk has `alias`; None for a disk that is not a volume's."""
    return alias.removeprefix(_ALIAS) if alias.startswith(_ALIAS) else None


def volumes_in(domain: str) -> dict[str, Any]:
    """Return the <disk> elements of volumes in a domain's XML, by volume id."""
    found = {}
    for element in etree.fromstring(domain).findall("devices/disk"):
        alias = element.find("alias")
        volume_id = volume_of(alias.get("name", "")) if alias is not None else None
        if volume_id is not None:
            found[volume_id] = element
    return found


def disk_bus(domain: str) -> str:
    """Return the bus of a domain's disks."""
    tree = etree.fromstring(domain)
    if tree.find("devices/controller[@type='scsi']") is None:
        return "virtio"
    buses = {disk.find("target").get("bus") for disk in tree.findall("devices/disk[@device='disk']")}
    drives = {disk.find("target").get("bus") for disk in tree.findall("devices/disk[@device='cdrom']")}
    return "scsi" if "scsi" in buses or "scsi" not in drives else "virtio"


def volume_xml(disk: VolumeDisk, bus: str = "virtio") -> str:
    """Return the XML of one volume's disk, to be plugged in."""
    holder = etree.Element("devices")
    return etree.tostring(add_volume(holder, disk, bus=bus, plugged=True), encoding="unicode")


def add_disk(devices: Any, disk: Disk, cache: str, *, bus: str = "virtio", cdrom_bus: str = "sata", boots: bool = False,
             limits: Mapping[str, int] | None = None) -> None:
    """Add a disk of the server's own; `limits` are elements of <iotune>."""
    element = (_add_drive(devices, disk.path, disk.format, disk.target, disk.bus or cdrom_bus)
               if disk.cdrom else _add_own(devices, disk, cache, bus, limits or {}))
    if boots:
        add(element, "boot", order="1")


def _add_own(devices: Any, disk: Disk, cache: str, bus: str, limits: Mapping[str, int]) -> Any:
    element = add(devices, "disk", type="file", device="disk")
    driver = add(element, "driver", name="qemu", type=disk.format)
    if disk.readonly:
        add(element, "readonly")
    else:
        driver.set("cache", cache)
        driver.set("discard", "unmap")
    add(element, "source", file=str(disk.path))
    # The config drive stays on virtio: a guest without that driver misses its data only.
    _add_target(element, disk.target, disk.bus or ("virtio" if disk.target == _CONFIG_TARGET else bus))
    if not disk.readonly:
        _add_limits(element, limits)
    return element


def add_volume(devices: Any, disk: VolumeDisk, *, bus: str = "virtio", plugged: bool = False) -> Any:
    """Add a volume; `plugged` into a running guest it takes no part in booting."""
    element = add(devices, "disk", type="file" if isinstance(disk.source, FileSource) else "network", device="disk")
    driver = add(element, "driver", name="qemu", type=disk.format, cache=disk.cache)
    if not disk.readonly:
        driver.set("discard", "unmap")
    _add_source(element, disk)
    _add_target(element, disk.target, bus)
    add(element, "serial", text=disk.volume_id)
    add(element, "alias", name=alias_of(disk.volume_id))
    if disk.readonly:
        add(element, "readonly")
    if disk.shared:
        add(element, "shareable")
    if disk.boot_index is not None and disk.boot_index >= 0 and not plugged:
        add(element, "boot", order=str(disk.boot_index + 1))
    _add_limits(element, disk.limits)
    return element


def _add_limits(element: Any, limits: Mapping[str, int]) -> None:
    if limits:
        tune = add(element, "iotune")
        for name, value in limits.items():
            add(tune, name, text=str(value))


def add_cdrom(devices: Any, iso: Path | None, bus: str) -> None:
    """Add the drive whose medium can be changed; without `iso` it is empty."""
    _add_drive(devices, iso, "raw", _DRIVE_TARGET, bus)


def drive_in(domain: str) -> Any | None:
    """Return the <disk> element of that drive in a domain's XML; None when the domain has none."""
    for element in etree.fromstring(domain).findall("devices/disk[@device='cdrom']"):
        if element.find("target").get("dev") == _DRIVE_TARGET:
            return element
    return None


def with_medium(drive: Any, iso: Path | None) -> str:
    """Return the XML of `drive` with `iso` in it, or empty."""
    empty(drive)
    if iso is not None:
        add(drive, "source", file=str(iso))
    return etree.tostring(drive, encoding="unicode")


def empty(drive: Any) -> None:
    """Take out what is in a drive, in its element."""
    for name in ("source", "backingStore"):
        for element in drive.findall(name):
            drive.remove(element)


def _add_drive(devices: Any, medium: Path | None, disk_format: str, target: str, bus: str) -> Any:
    element = add(devices, "disk", type="file", device="cdrom")
    add(element, "driver", name="qemu", type=disk_format)
    if medium is not None:
        add(element, "source", file=str(medium))
    _add_target(element, target, bus)
    add(element, "readonly")
    return element


def secret_xml(source: RbdSource) -> str:
    """Return the XML of the secret that holds a Ceph user's key."""
    secret = etree.Element("secret", ephemeral="no", private="yes")
    add(secret, "uuid", text=source.secret_id)
    add(add(secret, "usage", type="ceph"), "name", text=f"hostler {source.secret_id}")
    return etree.tostring(secret, encoding="unicode")


def _add_target(element: Any, target: str, bus: str) -> None:
    """Add where the guest finds the disk: the cloud's name for it, vdb, is sdb on all other buses than virtio's.

    Without an address libvirt adds a controller for every seven (SCSI) or six (SATA) letters.
    """
    letters = target[2:]
    add(element, "target", dev=target if bus == "virtio" else f"sd{letters}", bus=bus)
    if bus in ("scsi", "sata"):
        unit = _SATA_UNITS[letters] if bus == "sata" else ord(letters[-1]) - ord("a") + 26 * (len(letters) - 1)
        add(element, "address", type="drive", controller="0", bus="0", target="0", unit=str(unit))


def _add_source(element: Any, disk: VolumeDisk) -> None:
    source = disk.source
    if isinstance(source, FileSource):
        add(element, "source", file=str(source.path))
    elif isinstance(source, NbdSource):
        inner = add(element, "source", protocol="nbd", name=source.export)
        if source.tls:
            inner.set("tls", "yes")
            if source.tls_name:
                inner.set("tlsHostname", source.tls_name)
        add(inner, "host", name=source.host, port=str(source.port))
    elif isinstance(source, RbdSource):
        inner = add(element, "source", protocol="rbd", name=f"{source.pool}/{source.image}")
        for monitor in source.monitors:
            host, _, port = monitor.rpartition(":")
            add(inner, "host", name=host.strip("[]"), port=port)
        if source.secret_id is not None:
            auth = add(inner, "auth", username=source.user or "admin")
            add(auth, "secret", type="ceph", uuid=source.secret_id)
    else:
        raise errors.AgentError(reason=f"Volume {disk.volume_id} has no transport that QEMU knows.")
