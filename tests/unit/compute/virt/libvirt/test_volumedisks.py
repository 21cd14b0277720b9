"""Volumes in domain XML: what QEMU is told of each transport, of sharing, of booting."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="libvirt-python is not installed")
from lxml import etree

from compute.virt import driver as virt
from compute.virt.libvirt import diskxml, domainxml
from hostler import errors
from tests.harness.compute_agents import make_server

MACHINE = domainxml.Machine(host="host1", virt_type="kvm", cpu_mode="none", disk_cache="none",
                            pcie_ports=12)
VOLUME = virt.VolumeDisk("11111111-0000-4000-8000-000000000001", "vdb", virt.FileSource(Path("/s/v")), "qcow2")


def element(disk: virt.VolumeDisk) -> etree._Element:
    return etree.fromstring(diskxml.volume_xml(disk))


def test_a_volume_is_known_by_alias_and_serial() -> None:
    disk = element(VOLUME)
    assert disk.findtext("serial") == VOLUME.volume_id
    assert disk.find("alias").get("name") == f"ua-{VOLUME.volume_id}"
    assert disk.find("driver").attrib == {"name": "qemu", "type": "qcow2", "cache": "none", "discard": "unmap"}
    assert disk.find("source").get("file") == "/s/v" and disk.find("target").attrib == {"dev": "vdb", "bus": "virtio"}
    devices = diskxml.volume_xml(VOLUME) + "<disk><alias name='virtio-disk0'/></disk>"
    assert list(diskxml.volumes_in(f"<domain><devices>{devices}</devices></domain>")) == [VOLUME.volume_id]


def test_readonly_and_shared() -> None:
    disk = element(dataclasses.replace(VOLUME, readonly=True, shared=True))
    assert disk.find("readonly") is not None and disk.find("shareable") is not None
    assert disk.find("driver").get("discard") is None
    assert element(VOLUME).find("readonly") is None and element(VOLUME).find("shareable") is None


def test_nbd() -> None:
    source = element(dataclasses.replace(VOLUME, source=virt.NbdSource("n1", 10810, "e1"))).find("source")
    assert source.attrib == {"protocol": "nbd", "name": "e1"}
    assert source.find("host").attrib == {"name": "n1", "port": "10810"}
    source = element(dataclasses.replace(VOLUME, source=virt.NbdSource("n1", 10810, "e1", True, "node"))).find("source")
    assert (source.get("tls"), source.get("tlsHostname")) == ("yes", "node")


def test_rbd() -> None:
    rbd = virt.RbdSource("pool", "image", ("10.0.0.1:6789", "[fd00::1]:6789"), "hostler", "a2V5", VOLUME.volume_id)
    source = element(dataclasses.replace(VOLUME, source=rbd)).find("source")
    assert source.get("name") == "pool/image"
    assert [(host.get("name"), host.get("port")) for host in source.findall("host")] == [
        ("10.0.0.1", "6789"), ("fd00::1", "6789")]
    assert source.find("auth").get("username") == "hostler"
    assert source.find("auth/secret").get("uuid") == VOLUME.volume_id
    secret = etree.fromstring(diskxml.secret_xml(rbd))
    assert secret.get("private") == "yes" and secret.findtext("uuid") == VOLUME.volume_id
    assert "a2V5" not in etree.tostring(secret).decode()


def test_a_transport_that_qemu_does_not_know() -> None:
    with pytest.raises(errors.AgentError, match=VOLUME.volume_id):
        diskxml.volume_xml(dataclasses.replace(VOLUME, source=virt.FakeSource()))


def test_disks_stand_in_the_order_of_their_names_and_the_root_boots() -> None:
    root = dataclasses.replace(VOLUME, target="vda", boot_index=0)
    data = dataclasses.replace(VOLUME, target="vdc", volume_id="11111111-0000-4000-8000-000000000002")
    guest = virt.Guest(make_server(), (virt.Disk(Path("/d/eph"), "vdb", "raw"),), (), Path("/d/log"), (data, root))
    domain = etree.fromstring(domainxml.build(guest, MACHINE))
    assert [disk.find("target").get("dev") for disk in domain.findall("devices/disk")] == ["vda", "vdb", "vdc"]
    boots = {disk.find("target").get("dev"): disk.find("boot").get("order") for disk in domain.findall("devices/disk")
             if disk.find("boot") is not None}
    assert boots == {"vda": "1"} and domain.find("os/boot") is None
    ports = [item for item in domain.findall("devices/controller") if item.get("model") == "pcie-root-port"]
    assert len(ports) >= 12 + 3, "each disk has a port, and the free ones stay free"
    local = virt.Guest(make_server(), (virt.Disk(Path("/d/disk"), "vda"),), (), Path("/d/log"), (data,))
    domain = etree.fromstring(domainxml.build(local, MACHINE))
    assert domain.find("devices/disk/boot").get("order") == "1"
    assert diskxml.volume_xml(root).count("<boot") == 0, "who is plugged in later does not boot"


def test_limits_of_a_volume() -> None:
    limits = {"total_iops_sec": 500, "total_iops_sec_max": 900}
    tune = element(dataclasses.replace(VOLUME, limits=limits)).find("iotune")
    assert {item.tag: item.text for item in tune} == {"total_iops_sec": "500", "total_iops_sec_max": "900"}
    assert element(VOLUME).find("iotune") is None
