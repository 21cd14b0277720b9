"""The domain XML of a server, built with lxml (https://libvirt.org/formatdomain.html).

What is chosen and why: machine q35, because it is the same under KVM and emulation and takes hot-plugged devices;
spare PCI Express root ports, because q35 has none otherwise; virtio for disk, network, random numbers and memory
balloon, unless the image or flavor asks for something else (`hostler.resources.server.hardware`); a serial console
with a log file next to it; VNC, SPICE or both; a channel for the guest agent. SMBIOS names the product as nova does:
cloud-init looks for its data sources by it. The metadata element names server and owning agent: agents touch only
guests that name them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from lxml import etree

from compute.virt.driver import Disk, Guest, VolumeDisk
from compute.virt.libvirt.bootorder import boot_in_order
from compute.virt.libvirt.diskxml import add_cdrom, add_disk, add_volume
from compute.virt.libvirt.elements import add
from compute.virt.libvirt.nicxml import add_nic
from hostler.resources.server.cpu_topology import Topology
from hostler.resources.server.hardware import Hardware

METADATA_URI = "urn:hostler:server:1"
NAME_PREFIX = "hostler-"


@dataclasses.dataclass(frozen=True)
class Smbios:
    """What SMBIOS (DMI) says about the system; an empty text leaves QEMU's own."""

    manufacturer: str = "OpenStack Foundation"
    product: str = "OpenStack Nova"
    family: str = "Virtual Machine"
    serial: str = "unique"  # unique: the server's id; none: no serial number


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the host's configuration decides about every guest."""

    host: str
    virt_type: str  # kvm | qemu
    cpu_mode: str  # a mode, none, or a model's name
    disk_cache: str
    pcie_ports: int
    smbios: Smbios = Smbios()
    graphics: tuple[str, ...] = ("vnc",)  # vnc, spice


def domain_name(server_id: str) -> str:
    """Return the guest's name in libvirt."""
    return f"{NAME_PREFIX}{server_id}"


def build(guest: Guest, machine: Machine) -> str:
    """Return the XML of `guest`. Names are cleaned of what XML cannot hold."""
    server, hardware = guest.server, Hardware.of(guest.server)
    domain = etree.Element("domain", type=machine.virt_type)
    add(domain, "name", text=domain_name(server.id))
    add(domain, "uuid", text=server.id)
    title = _clean(server.name)
    if title:
        add(domain, "title", text=title)
    owner = etree.SubElement(add(domain, "metadata"), f"{{{METADATA_URI}}}server", nsmap={"hostler": METADATA_URI})
    owner.set("id", server.id)
    owner.set("name", title)
    owner.set("host", machine.host)
    add(domain, "memory", text=str(server.ram_mib), unit="MiB")
    add(domain, "vcpu", text=str(server.vcpus), placement="static")
    if hardware.cpu_limits:
        tune = add(domain, "cputune")
        for limit, value in hardware.cpu_limits.items():
            add(tune, limit, text=str(value))
    system = add(domain, "os")
    if hardware.uefi:
        system.set("firmware", "efi")  # libvirt chooses among those that the host has, and refuses when it has none
    add(system, "type", text="hvm", arch="x86_64", machine=hardware.machine)
    if hardware.boot_menu:
        add(system, "bootmenu", enable="yes")
    add(system, "smbios", mode="sysinfo")
    _add_sysinfo(domain, machine.smbios, server.id)
    features = add(domain, "features")
    add(features, "acpi")
    add(features, "apic")
    _add_cpu(domain, server.cpu_mode or machine.cpu_mode, hardware.topology)
    _add_clock(domain, machine, hardware)
    add(domain, "on_poweroff", text="destroy")
    add(domain, "on_reboot", text="restart")
    add(domain, "on_crash", text="destroy")
    _add_devices(domain, guest, machine, hardware)
    if server.boot_order and server.rescue is None:  # a rescued server boots from its rescue disk
        boot_in_order(domain.find("devices"), server.boot_order)
    return etree.tostring(domain, encoding="unicode", pretty_print=True)


def read_owner(metadata: str) -> tuple[str, str]:
    """Return (server id, owning agent) of the text of our metadata element."""
    element = etree.fromstring(metadata)
    return element.get("id", ""), element.get("host", "")


def _add_sysinfo(domain: Any, smbios: Smbios, server_id: str) -> None:
    system = add(add(domain, "sysinfo", type="smbios"), "system")
    entries = {"manufacturer": smbios.manufacturer, "product": smbios.product,
               "serial": server_id if smbios.serial == "unique" else "", "uuid": server_id, "family": smbios.family}
    for name, text in entries.items():
        if text:
            add(system, "entry", name=name, text=_clean(text))


def _add_cpu(domain: Any, mode: str, topology: Topology) -> None:
    if mode == "none":
        if topology.cores * topology.threads == 1:
            return
        cpu = add(domain, "cpu")
    elif mode in ("host-model", "host-passthrough", "maximum"):
        cpu = add(domain, "cpu", mode=mode)
        if mode == "host-model":
            cpu.set("check", "partial")
    else:
        cpu = add(domain, "cpu", mode="custom", match="exact", check="none")
        add(cpu, "model", text=mode, fallback="allow")
    add(cpu, "topology", **{part: str(count) for part, count in topology._asdict().items()})


def _add_clock(domain: Any, machine: Machine, hardware: Hardware) -> None:
    element = add(domain, "clock", offset="utc")
    add(element, "timer", name="rtc", tickpolicy="catchup")
    if machine.virt_type == "kvm":
        add(element, "timer", name="pit", tickpolicy="delay")
    add(element, "timer", name="hpet", present="yes" if hardware.hpet else "no")


def _add_devices(domain: Any, guest: Guest, machine: Machine, hardware: Hardware) -> None:
    devices = add(domain, "devices")
    # In the order of their names, which is the order in which guests find and so name them.
    cdrom_bus = hardware.cdrom_bus or "sata"
    disks: list[Disk | VolumeDisk] = [*guest.disks, *guest.volumes]
    for disk in sorted(disks, key=lambda disk: (len(disk.target), disk.target)):
        if isinstance(disk, Disk):
            add_disk(devices, disk, machine.disk_cache, bus=hardware.disk_bus, cdrom_bus=cdrom_bus,
                     limits=hardware.disk_limits, boots=disk.target == guest.boot_target)
        else:
            add_volume(devices, disk, bus=hardware.disk_bus)
    buses = {hardware.disk_bus, *(disk.bus for disk in guest.disks)}
    if guest.iso is not None or hardware.cdrom_bus:
        add_cdrom(devices, guest.iso, cdrom_bus)
        buses.add(cdrom_bus)
    if "scsi" in buses:
        add(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    add(devices, "controller", type="usb", model="qemu-xhci" if "usb" in buses else "none")
    add(devices, "controller", type="pci", index="0", model="pcie-root")
    # One for each device at boot, and one for each volume that may still be attached: q35 cannot grow any.
    for index in range(1, _fixed_devices(guest) + max(machine.pcie_ports, len(guest.volumes)) + 1):
        add(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
    for nic in guest.nics:
        add_nic(devices, nic, hardware)
    for kind in ("serial", "console"):
        element = add(devices, kind, type="pty")
        if kind == "serial":
            # append: the log outlives reboots; the agent cuts it to size.
            add(element, "log", file=str(guest.console_log), append="on")
            add(element, "target", type="isa-serial", port="0")
        else:
            add(element, "target", type="serial", port="0")
    if hardware.guest_agent:
        channel = add(devices, "channel", type="unix")
        add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    add(devices, "input", type="tablet", bus="virtio")
    # A socket that libvirt puts into the guest's own directory, which only QEMU's user may enter: any user of the host
    # can connect to a port, and VNC's passwords protect nothing.
    for protocol in machine.graphics:
        add(add(devices, "graphics", type=protocol), "listen", type="socket")
    _add_video(devices, hardware)
    add(devices, "memballoon", model="virtio")
    if hardware.rng:
        _add_rng(devices, hardware)


def _fixed_devices(guest: Guest) -> int:
    """Return how many root ports other devices than volumes may take.

    Disks, NICs, and six: serial and SCSI controllers, tablet, balloon, rng, and the bridge behind which NICs that are
    no PCI Express devices are put.
    """
    return len(guest.disks) + len(guest.nics) + 6


def _add_video(devices: Any, hardware: Hardware) -> None:
    element = add(add(devices, "video"), "model", type=hardware.video_model)
    if hardware.video_model in ("vga", "cirrus"):
        element.set("vram", str(hardware.video_mib * 1024))
    if hardware.video_model != "none":
        element.set("heads", "1")


def _add_rng(devices: Any, hardware: Hardware) -> None:
    rng = add(devices, "rng", model="virtio")
    if hardware.rng_bytes is not None:
        add(rng, "rate", bytes=str(hardware.rng_bytes), period=str(hardware.rng_period_ms))
    add(rng, "backend", text="/dev/urandom", model="random")


def _clean(text: str) -> str:
    """Return `text` without what XML 1.0 cannot carry and without line breaks (libvirt refuses them in titles)."""
    return "".join(char for char in text if char.isprintable() and char not in "\ufffe\uffff").strip()
