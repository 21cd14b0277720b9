"""Volumes in one domain: plug, unplug, resize. Every function may be repeated."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable
from typing import Any

import libvirt
from lxml import etree

from compute.virt.driver import RbdSource, VolumeDisk
from compute.virt.libvirt import diskxml
from compute.virt.libvirt.unplugging import ask_for
from hostler import errors

_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


def attach(domain: libvirt.virDomain, disk: VolumeDisk) -> None:
    """Plug into the guest, when it runs, and into its definition."""
    ensure_secrets(domain.connect(), [disk])
    xml = diskxml.volume_xml(disk, diskxml.disk_bus(domain.XMLDesc(0)))
    if domain.isActive() and disk.volume_id not in present(domain):
        domain.attachDeviceFlags(xml, _LIVE)
    if disk.volume_id not in defined(domain):
        domain.attachDeviceFlags(xml, _CONFIG)


def detach(domain: libvirt.virDomain, volume_id: str, ask: bool) -> bool:
    """Return whether guest and definition are without the volume; the definition follows the guest."""
    if domain.isActive():
        if ask and volume_id in present(domain):
            ask_for(domain, diskxml.alias_of(volume_id))
        if volume_id in present(domain):
            return False
    kept = defined(domain).get(volume_id)
    if kept is not None:
        domain.detachDeviceFlags(etree.tostring(kept, encoding="unicode"), _CONFIG)
        forget_secrets(domain.connect(), [kept])
    return True


def resize(domain: libvirt.virDomain, volume_id: str, size_bytes: int) -> bool:
    """Tell QEMU that the volume has grown; False when the guest is off."""
    if not domain.isActive():
        return False
    disk = present(domain).get(volume_id)
    if disk is None:
        raise errors.AgentError(reason=f"The server has no volume {volume_id}.")
    if disk.find("source").get("protocol") == "nbd":
        raise errors.AgentError(reason="QEMU cannot grow a disk that is attached over NBD while the server runs; "
                                       "detach the volume (or stop the server) first.")
    target = disk.find("target").get("dev")
    # A late repetition must not shrink what was grown again since.
    if domain.blockInfo(target)[0] <= size_bytes:
        domain.blockResize(target, size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
    return True


def present(domain: libvirt.virDomain) -> dict[str, Any]:
    """Return the volumes the domain has now, by id: the guest's, when it runs, else the definition's."""
    return diskxml.volumes_in(domain.XMLDesc(0))


def defined(domain: libvirt.virDomain) -> dict[str, Any]:
    """Return the volumes in the domain's definition."""
    return diskxml.volumes_in(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))


def ensure_secrets(conn: libvirt.virConnect, disks: Iterable[VolumeDisk]) -> None:
    """Let libvirt have the keys that `disks` are opened with."""
    for disk in disks:
        source = disk.source
        if isinstance(source, RbdSource) and source.secret_id is not None and source.key is not None:
            secret = conn.secretDefineXML(diskxml.secret_xml(source))
            secret.setValue(base64.b64decode(source.key))


def forget_secrets(conn: libvirt.virConnect, disks: Iterable[Any]) -> None:
    """Take away the keys of <disk> elements that are gone."""
    for disk in disks:
        secret = disk.find("source/auth/secret")
        if secret is None:
            secret = disk.find("auth/secret")
        if secret is not None:
            with contextlib.suppress(libvirt.libvirtError):  # it is gone already
                conn.secretLookupByUUIDString(secret.get("uuid")).undefine()
