"""The domain XML of a server, built with lxml (https://libvirt.org/formatdomain.html).

What is chosen and why: machine q35, because it is the same under KVM and emulation and takes hot-plugged devices;
spare PCI Express root ports, because q35 has none otherwise; virtio for disk, network, random numbers and memory
balloon; a serial console with a log file next to it; VNC; a channel for the guest agent. The metadata element names
server and owning agent: agents touch only guests that name them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from lxml import etree

from compute.virt.driver import Disk, Guest, Nic, VolumeDisk
from compute.virt.libvirt.diskxml import add_disk, add_volume
from compute.virt.libvirt.elements import add

METADATA_URI = "urn:hostler:server:1"
NAME_PREFIX = "hostler-"


@dataclasses.dataclass(frozen=True)
class Machine:
    """What the host's configuration decides about every guest."""

    host: str
    virt_type: str  # kvm | qemu
    cpu_mode: str  # a mode, none, or a model's name
    disk_cache: str
    console_listen: str
    pcie_ports: int


def domain_name(server_id: str) -> str:
    """Return the guest's name in libvirt."""
    return f"{NAME_PREFIX}{server_id}"


def build(guest: Guest, machine: Machine) -> str:
    """Return the XML of `guest`; raises ValueError never: names are cleaned of what XML cannot hold."""
    server = guest.server
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
    system = add(domain, "os")
    add(system, "type", text="hvm", arch="x86_64", machine="q35")
    features = add(domain, "features")
    add(features, "acpi")
    add(features, "apic")
    _add_cpu(domain, machine, server.vcpus)
    _add_clock(domain, machine)
    add(domain, "on_poweroff", text="destroy")
    add(domain, "on_reboot", text="restart")
    add(domain, "on_crash", text="destroy")
    _add_devices(domain, guest, machine)
    return etree.tostring(domain, encoding="unicode", pretty_print=True)


def read_owner(metadata: str) -> tuple[str, str]:
    """Return (server id, owning agent) of the text of our metadata element."""
    element = etree.fromstring(metadata)
    return element.get("id", ""), element.get("host", "")


def _add_cpu(domain: Any, machine: Machine, vcpus: int) -> None:
    if machine.cpu_mode == "none":
        return
    if machine.cpu_mode in ("host-model", "host-passthrough", "maximum"):
        cpu = add(domain, "cpu", mode=machine.cpu_mode)
        if machine.cpu_mode == "host-model":
            cpu.set("check", "partial")
    else:
        cpu = add(domain, "cpu", mode="custom", match="exact", check="none")
        add(cpu, "model", text=machine.cpu_mode, fallback="allow")
    add(cpu, "topology", sockets=str(vcpus), cores="1", threads="1")


def _add_clock(domain: Any, machine: Machine) -> None:
    element = add(domain, "clock", offset="utc")
    add(element, "timer", name="rtc", tickpolicy="catchup")
    if machine.virt_type == "kvm":
        add(element, "timer", name="pit", tickpolicy="delay")
    add(element, "timer", name="hpet", present="no")


def _add_devices(domain: Any, guest: Guest, machine: Machine) -> None:
    devices = add(domain, "devices")
    # In the order of their names, which is the order in which guests find and so name them.
    disks: list[Disk | VolumeDisk] = [*guest.disks, *guest.volumes]
    for disk in sorted(disks, key=lambda disk: (len(disk.target), disk.target)):
        if isinstance(disk, Disk):
            add_disk(devices, disk, machine.disk_cache)
        else:
            add_volume(devices, disk)
    add(devices, "controller", type="usb", model="none")
    add(devices, "controller", type="pci", index="0", model="pcie-root")
    # One for each device at boot, and free ones on top for what is attached later: q35 cannot grow any.
    for index in range(1, _static_devices(guest) + machine.pcie_ports + 1):
        add(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
    for nic in guest.nics:
        _add_nic(devices, nic)
    for kind in ("serial", "console"):
        element = add(devices, kind, type="pty")
        if kind == "serial":
            # append: the log outlives reboots; the agent cuts it to size.
            add(element, "log", file=str(guest.console_log), append="on")
            add(element, "target", type="isa-serial", port="0")
        else:
            add(element, "target", type="serial", port="0")
    channel = add(devices, "channel", type="unix")
    add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    add(devices, "input", type="tablet", bus="virtio")
    graphics = add(devices, "graphics", type="vnc", autoport="yes")
    add(graphics, "listen", type="address", address=machine.console_listen)
    add(add(devices, "video"), "model", type="vga", vram="16384", heads="1")
    add(devices, "memballoon", model="virtio")
    add(add(devices, "rng", model="virtio"), "backend", text="/dev/urandom", model="random")


def _static_devices(guest: Guest) -> int:
    """Return how many devices take a root port at boot: disks, NICs, serial controller, tablet, balloon, rng."""
    return len(guest.disks) + len(guest.volumes) + len(guest.nics) + 4


def _add_nic(devices: Any, nic: Nic) -> None:
    element = add(devices, "interface", type="bridge")
    add(element, "mac", address=nic.mac_address)
    add(element, "source", bridge=nic.bridge)
    add(element, "target", dev=nic.tap)
    add(element, "model", type="virtio")
    add(element, "mtu", size=str(nic.mtu))
    add(element, "alias", name=f"ua-{nic.port_id}")


def _clean(text: str) -> str:
    """Return `text` without what XML 1.0 cannot carry and without line breaks (libvirt refuses them in titles)."""
    return "".join(char for char in text if char.isprintable() and char not in "\ufffe\uffff").strip()
