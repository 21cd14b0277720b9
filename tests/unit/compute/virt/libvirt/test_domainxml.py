"""The domain XML: what the guest gets, and names that XML cannot hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("libvirt", reason="libvirt-python is not installed")
from lxml import etree

from compute.virt import driver as virt
from compute.virt.libvirt import diskxml, domainxml, events, probe
from hostler.resources.server.specs import RescueSpec
from tests.harness.compute_agents import make_server

MACHINE = domainxml.Machine(host="host1", virt_type="kvm", cpu_mode="host-model", disk_cache="none",
                            pcie_ports=12)
SERVER = make_server(name="<a> & \x07b\n")
GUEST = virt.Guest(SERVER, (virt.Disk(Path("/d/disk"), "vda"), virt.Disk(Path("/d/c"), "vdz", "raw", readonly=True)),
                   (virt.Nic("p1", "fa:16:3e:00:00:01", "br0", "tap0", 1450),), Path("/d/console.log"))


def tree(machine: domainxml.Machine = MACHINE, guest: virt.Guest = GUEST) -> etree._Element:
    return etree.fromstring(domainxml.build(guest, machine))


def with_properties(image: dict[str, object] | None = None, specs: dict[str, str] | None = None) -> virt.Guest:
    server = dataclasses.replace(SERVER, image_properties=image or {}, extra_specs=specs or {}, vcpus=4)
    return dataclasses.replace(GUEST, server=server)


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


@pytest.mark.parametrize(("device", "bus", "target", "controller"), [
    ("disk", "virtio", "vdaa", None), ("disk", "scsi", "sdaa", "virtio-scsi"), ("cdrom", "sata", "sdaa", None),
    ("disk", "usb", "sdaa", "qemu-xhci")])
def test_a_rescue_disk_of_its_own_comes_last_and_is_booted(device: str, bus: str, target: str,
                                                           controller: str | None) -> None:
    rescue = virt.Disk(Path("/d/disk.rescue"), virt.RESCUE_TARGET, cdrom=device == "cdrom", bus=bus)
    server = dataclasses.replace(SERVER, rescue=RescueSpec(device=device, bus=bus))
    devices = tree(guest=dataclasses.replace(GUEST, server=server, disks=(*GUEST.disks, rescue))).find("devices")
    assert devices is not None
    disks = [(disk.get("device"), disk.find("target").get("dev"), disk.find("target").get("bus"),
              disk.find("boot") is not None) for disk in devices.findall("disk")]
    assert disks == [("disk", "vda", "virtio", False), ("disk", "vdz", "virtio", False), (device, target, bus, True)]
    models = {item.get("model") for item in devices.findall("controller")}
    assert controller is None or controller in models


def test_smbios_is_what_cloud_init_looks_for() -> None:
    domain = tree()
    assert domain.find("os/smbios").get("mode") == "sysinfo"
    entries = {entry.get("name"): entry.text for entry in domain.findall("sysinfo[@type='smbios']/system/entry")}
    assert entries == {"manufacturer": "OpenStack Foundation", "product": "OpenStack Nova", "serial": SERVER.id,
                       "uuid": SERVER.id, "family": "Virtual Machine"}
    plain = dataclasses.replace(MACHINE, smbios=domainxml.Smbios(product="Our Cloud", family="", serial="none"))
    entries = {entry.get("name"): entry.text for entry in tree(plain).findall("sysinfo/system/entry")}
    assert entries == {"manufacturer": "OpenStack Foundation", "product": "Our Cloud", "uuid": SERVER.id}


def test_hardware_that_the_image_asks_for() -> None:
    volume = virt.VolumeDisk("v1", "vdb", virt.FileSource(Path("/v/1")))
    guest = with_properties({"hw_disk_bus": "scsi", "hw_vif_model": "e1000", "hw_video_model": "virtio",
                             "hw_qemu_guest_agent": "no", "hw_boot_menu": "true", "hw_time_hpet": "yes"})
    domain = tree(guest=dataclasses.replace(guest, volumes=(volume,)))
    targets = [(item.get("dev"), item.get("bus")) for item in domain.findall("devices/disk/target")]
    assert targets == [("sda", "scsi"), ("sdb", "scsi"), ("vdz", "virtio")]
    assert [item.get("unit") for item in domain.findall("devices/disk/address")] == ["0", "1"]
    assert domain.find("devices/controller[@type='scsi']").get("model") == "virtio-scsi"
    assert domain.find("devices/interface/model").get("type") == "e1000"
    assert domain.find("devices/video/model").get("type") == "virtio"
    assert domain.find("devices/channel") is None and domain.find("os/bootmenu").get("enable") == "yes"
    assert domain.find("clock/timer[@name='hpet']").get("present") == "yes"


def test_hardware_that_the_flavor_asks_for() -> None:
    guest = with_properties({"hw_cpu_max_sockets": "1"}, {
        "hw_rng:rate_bytes": "2048", "hw_rng:rate_period": "500", "quota:disk_read_iops_sec": "100",
        "quota:disk_write_bytes_sec": "0", "hw:cpu_threads": "2"})
    domain = tree(guest=guest)
    assert dict(domain.find("devices/rng/rate").attrib) == {"bytes": "2048", "period": "500"}
    assert [(item.tag, item.text) for item in domain.find("devices/disk/iotune")] == [("read_iops_sec", "100")]
    assert len(domain.findall("devices/disk/iotune")) == 1, "the config drive is not limited"
    assert dict(domain.find("cpu/topology").attrib) == {"sockets": "1", "cores": "2", "threads": "2"}
    assert tree(guest=with_properties({}, {"hw_rng:allowed": "False"})).find("devices/rng") is None


@pytest.mark.contract("Z-BOOTORDER")
def test_a_server_of_an_iso_boots_from_its_drive() -> None:
    disc = virt.Disk(Path("/d/disk"), "vda", readonly=True, cdrom=True)
    domain = tree(guest=dataclasses.replace(GUEST, disks=(disc,)))
    [drive] = domain.findall("devices/disk")
    assert (drive.get("device"), drive.find("target").get("bus"), drive.find("boot").get("order")) == (
        "cdrom", "sata", "1")
    assert drive.find("driver").attrib == {"name": "qemu", "type": "qcow2"} and drive.find("readonly") is not None


@pytest.mark.parametrize(("properties", "iso", "expected"), [
    ({}, None, None), ({}, Path("/i/1"), ("sata", "1", "/i/1")), ({"hw_cdrom_bus": "sata"}, None, ("sata", "1", None)),
    ({"hw_cdrom_bus": "scsi"}, Path("/i/1"), ("scsi", "24", "/i/1"))])
def test_a_drive_is_there_for_an_iso_or_when_the_image_names_its_bus(
        properties: dict[str, object], iso: Path | None, expected: tuple[str, str, str | None] | None) -> None:
    text = domainxml.build(dataclasses.replace(with_properties(properties), iso=iso), MACHINE)
    drive = diskxml.drive_in(text)
    assert (drive is None) == (expected is None)
    assert etree.fromstring(text).findall("devices/disk/boot")[0].getparent().find("target").get("dev") == "vda"
    if drive is not None and expected is not None:
        source = drive.find("source")
        assert expected == (drive.find("target").get("bus"), drive.find("address").get("unit"),
                            None if source is None else source.get("file"))
        assert diskxml.disk_bus(text) == "virtio"
        assert etree.fromstring(diskxml.with_medium(drive, Path("/i/2"))).find("source").get("file") == "/i/2"
        assert etree.fromstring(diskxml.with_medium(drive, None)).find("source") is None


@pytest.mark.contract("Z-BOOTORDER")
@pytest.mark.parametrize(("order", "expected"), [
    ((), {"vda": "1", "vdb": "2"}), (("disk", "cdrom"), {"vda": "1", "vdb": "2", "sdy": "3"}),
    (("cdrom", "disk"), {"sdy": "1", "vda": "2", "vdb": "3"}), (("network", "cdrom"), {"tap0": "1", "sdy": "2"})])
def test_a_boot_order_numbers_devices_by_their_kinds(order: tuple[str, ...], expected: dict[str, str]) -> None:
    guest = dataclasses.replace(GUEST, server=dataclasses.replace(SERVER, boot_order=order), iso=Path("/i/1"), volumes=(
        virt.VolumeDisk("v1", "vdb", virt.FileSource(Path("/v/1")), boot_index=1),
        virt.VolumeDisk("v2", "vdc", virt.FileSource(Path("/v/2")))))
    numbered = {boot.getparent().find("target").get("dev"): boot.get("order")
                for boot in tree(guest=guest).findall("devices/*/boot")}
    assert numbered == expected


@pytest.mark.contract("Z-CPUMODE")
@pytest.mark.parametrize(("chosen", "expected"), [(None, "host-model"), ("host-passthrough", "host-passthrough"),
                                                  ("none", None)])
def test_a_server_may_choose_its_cpu_mode(chosen: str | None, expected: str | None) -> None:
    guest = dataclasses.replace(GUEST, server=dataclasses.replace(SERVER, cpu_mode=chosen))
    cpu = tree(dataclasses.replace(MACHINE, cpu_mode="host-model"), guest).find("cpu")
    assert (None if cpu is None else cpu.get("mode")) == expected


def test_limits_firmware_and_machine() -> None:
    domain = tree(guest=with_properties({"hw_video_ram": "64", "hw_machine_type": "pc-q35-7.2"}, {
        "quota:cpu_shares": "512", "quota:cpu_period": "10000", "quota:cpu_quota": "5000", "hw:firmware_type": "uefi",
        "quota:vif_inbound_average": "100", "quota:vif_inbound_burst": "300", "quota:vif_outbound_average": "50"}))
    assert [(item.tag, item.text) for item in domain.find("cputune")] == [
        ("shares", "512"), ("period", "10000"), ("quota", "5000")]
    assert domain.find("os").get("firmware") == "efi" and domain.find("os/type").get("machine") == "pc-q35-7.2"
    assert domain.find("devices/video/model").get("vram") == "65536"
    assert {item.tag: dict(item.attrib) for item in domain.find("devices/interface/bandwidth")} == {
        "inbound": {"average": "100", "burst": "300"}, "outbound": {"average": "50"}}


def test_what_was_never_accepted_counts_as_absent() -> None:
    domain = tree(guest=with_properties({"hw_disk_bus": "ide", "hw_vif_model": "ne2k"}, {"hw:cpu_sockets": "3"}))
    assert domain.find("devices/disk/target").get("bus") == "virtio"
    assert domain.find("devices/interface/model").get("type") == "virtio"
    assert domain.find("cpu/topology").get("sockets") == "4"


@pytest.mark.contract("Z-CPUMODE")
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
