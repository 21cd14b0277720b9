"""A server whose user chose that it boots from the network first was rescued, and booted from the network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="libvirt-python is not installed")
from lxml import etree

from compute.diskfile import rescue_disk
from compute.virt import driver as virt
from compute.virt.libvirt import domainxml
from hostler.resources.server.specs import RescueSpec
from tests.harness.compute_agents import make_server

MACHINE = domainxml.Machine(host="host1", virt_type="kvm", cpu_mode="host-model", disk_cache="none", pcie_ports=12)


@pytest.mark.parametrize("rescue", [RescueSpec(), RescueSpec(device="disk", bus="scsi"),
                                    RescueSpec(device="cdrom", bus="sata")], ids=str)
def test_a_rescued_server_boots_from_its_rescue_disk(rescue: RescueSpec) -> None:
    server = dataclasses.replace(make_server(), boot_order=("network", "disk", "cdrom"), rescue=rescue)
    path = Path("/d/disk.rescue")
    nic = virt.Nic("p1", "fa:16:3e:00:00:01", "br0", "tap0", 1450)
    root = virt.Disk(Path("/d/disk"), "vda" if rescue.device else virt.RESCUED_TARGET)
    guest = virt.Guest(server, (rescue_disk(path, rescue), root), (nic,), Path("/d/console.log"))
    devices = etree.fromstring(domainxml.build(guest, MACHINE)).find("devices")
    assert devices is not None
    [boot] = devices.findall("*/boot")
    assert boot.getparent().find("source").get("file") == str(path)
