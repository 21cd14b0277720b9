"""The domain XML: what the guest gets, and names that XML cannot hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="libvirt-python is not installed")
from lxml import etree

from compute.virt import driver as virt
from compute.virt.libvirt import domainxml, events, probe
from tests.harness.compute_agents import make_server

MACHINE = domainxml.Machine(host="host1", virt_type="kvm", cpu_mode="host-model", disk_cache="none",
                            console_listen="127.0.0.1", pcie_ports=12)
SERVER = make_server(name="<a> & \x07b\n")
GUEST = virt.Guest(SERVER, (virt.Disk(Path("/d/disk"), "vda"), virt.Disk(Path("/d/c"), "vdz", "raw", readonly=True)),
                   (virt.Nic("p1", "fa:16:3e:00:00:01", "br0", "tap0", 1450),), Path("/d/console.log"))


def tree(machine: domainxml.Machine = MACHINE) -> etree._Element:
    return etree.fromstring(domainxml.build(GUEST, machine))


def test_identity_and_owner() -> None:
    domain = tree()
    assert domain.findtext("uuid") == SERVER.id and domain.findtext("name") == f"hostler-{SERVER.id}"
    owner = domain.find(f"metadata/{{{domainxml.METADATA_URI}}}server")
    assert owner is not None and domainxml.read_owner(etree.tostring(owner).decode()) == (SERVER.id, "host1")
    assert domain.findtext("title") == "<a> & b"


def test_devices() -> None:
    domain = tree()
    interface = domain.find("devices/interface")
    assert interface is not None
    assert (interface.find("source").get("bridge"), interface.find("target").get("dev")) == ("br0", "tap0")
    assert interface.find("mtu").get("size") == "1450"
    log = domain.find("devices/serial/log")
    assert log is not None and log.get("file") == "/d/console.log" and log.get("append") == "on"
    disk, drive = domain.findall("devices/disk")
    assert disk.find("driver").attrib == {"name": "qemu", "type": "qcow2", "cache": "none", "discard": "unmap"}
    assert drive.find("readonly") is not None and drive.find("target").get("dev") == "vdz"
    ports = [item for item in domain.findall("devices/controller") if item.get("model") == "pcie-root-port"]
    assert len(ports) >= 12 + len(GUEST.disks) + len(GUEST.nics)


@pytest.mark.parametrize(("mode", "expected"), [("host-passthrough", ("host-passthrough", None)), ("none", None),
                                                ("Nehalem", ("custom", "Nehalem"))])
def test_cpu_modes(mode: str, expected: tuple[str, str | None] | None) -> None:
    cpu = tree(dataclasses.replace(MACHINE, cpu_mode=mode)).find("cpu")
    assert (None if cpu is None else (cpu.get("mode"), cpu.findtext("model"))) == expected


def test_the_probe_guest_is_a_bootable_sector() -> None:
    image = probe.probe_image()
    assert image[510:512] == b"\x55\xaa" and probe.MARKER in image[:510] and len(image) == 1 << 20


def test_lifecycle_events() -> None:
    assert [events.kind_of(5, detail) for detail in (0, 2, 4)] == ["stopped", "crashed", "suspended"]
    assert events.kind_of(0, 0) is None
