"""Tests whether KVM runs guests here by booting one: neither the device node nor libvirt's capabilities prove it.

On some hosts (nested, or with a partial KVM) guests start under KVM and crawl or stop. The probe guest is one boot
sector (`probe_guest.S`): it enters 64-bit mode, then switches address spaces, leaves to the hypervisor and writes
memory thirty thousand times, which takes KVM that works a fraction of a second, and says so on its serial port. Only a
guest that gets there in time makes a KVM host. The answer is kept until the next reboot.
"""

from __future__ import annotations

import base64
import json
import logging
import time
from pathlib import Path

import libvirt
from lxml import etree

from compute.virt.libvirt.connection import Connection
from hostler import errors, ids
from hostler.agent.files import write_atomically

LOG = logging.getLogger(__name__)
MARKER = b"hostler-probe-ok"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
POLL_S = 0.05
# The assembled probe_guest.S; the zeros up to the boot signature are left out.
_CODE = base64.b64decode(
    "+jHAjtiOwI7QvAB8vwAQuQAY86vHBgAQAyDHBgAgAzDHBgAwgwBmuKAAAAAPIuBmuAAQAAAPIthmuYAAAMAPMmYNAAEAAA8wDwEW0HwPIMBmDQ"
    "EAAIAPIsDqXnwIAGa4EACO2I7AjtC9MHUAAA8g2A8i2DHAD6IPATwlAAAQAL8AABAAuQACAADzSKv/zXXdvqN8AAC5EQAAAGa6+APzbvTr/Whv"
    "c3RsZXItcHJvYmUtb2sKDx9AAAAAAAAAAAAA//8AAACarwD//wAAAJLPABcAuHw=")
_SECTOR_BYTES = 512
_IMAGE_BYTES = 1024 * 1024  # firmware does not boot from disks of one sector


def kvm_works(connection: Connection, directory: Path, timeout_s: float) -> bool:
    """Return whether a guest runs under KVM; boots the probe unless this boot of the machine has an answer."""
    known = directory / "kvm-probe.json"
    boot_id = _boot_id()
    answer = _read(known)
    if answer.get("boot_id") == boot_id:
        return bool(answer.get("works"))
    works = _boot_probe(connection, directory, timeout_s)
    write_atomically(known, json.dumps({"boot_id": boot_id, "works": works}).encode())
    return works


def probe_image() -> bytes:
    """Return the probe guest's disk."""
    sector = _CODE.ljust(_SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"
    return sector.ljust(_IMAGE_BYTES, b"\0")


def _boot_probe(connection: Connection, directory: Path, timeout_s: float) -> bool:
    name = f"probe-{ids.new_id()[:8]}"
    disk, serial = directory / f"{name}.img", directory / f"{name}.out"
    disk.write_bytes(probe_image())
    serial.touch()
    try:
        started = time.monotonic()
        try:
            connection.call(lambda conn: conn.createXML(_xml(name, disk, serial), 0), patience=3)
        except errors.AgentError as error:
            LOG.warning("KVM cannot be used, guests are emulated: %s", error)
            return False
        deadline = time.monotonic() + timeout_s
        works = False
        while not works and time.monotonic() < deadline:
            time.sleep(POLL_S)
            works = MARKER in serial.read_bytes()
        elapsed_s = time.monotonic() - started
        if works:
            LOG.info("The probe guest ran under KVM in %.1f s", elapsed_s)
        else:
            LOG.warning("The probe guest did not finish under KVM within %.0f s: guests are emulated", timeout_s)
        return works
    finally:
        connection.call(lambda conn: _remove(conn, name), patience=3)
        disk.unlink(missing_ok=True)
        serial.unlink(missing_ok=True)


def _remove(conn: libvirt.virConnect, name: str) -> None:
    try:
        conn.lookupByName(name).destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            raise


def _xml(name: str, disk: Path, serial: Path) -> str:
    domain = etree.Element("domain", type="kvm")
    etree.SubElement(domain, "name").text = name
    etree.SubElement(domain, "memory", unit="MiB").text = "32"
    etree.SubElement(domain, "vcpu").text = "1"
    system = etree.SubElement(domain, "os")
    etree.SubElement(system, "type", arch="x86_64", machine="q35").text = "hvm"
    features = etree.SubElement(domain, "features")
    etree.SubElement(features, "acpi")
    devices = etree.SubElement(domain, "devices")
    drive = etree.SubElement(devices, "disk", type="file", device="disk")
    etree.SubElement(drive, "driver", name="qemu", type="raw")
    etree.SubElement(drive, "source", file=str(disk))
    etree.SubElement(drive, "target", dev="vda", bus="virtio")
    etree.SubElement(devices, "controller", type="usb", model="none")
    port = etree.SubElement(devices, "serial", type="file")
    etree.SubElement(port, "source", path=str(serial))
    etree.SubElement(devices, "memballoon", model="none")
    return etree.tostring(domain, encoding="unicode")


def _read(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        # Without a boot id an answer is good for one process only.
        return ids.new_id()
