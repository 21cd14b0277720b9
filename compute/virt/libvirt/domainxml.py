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

from compute.virt.driver import Disk, Guest, Nic

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
    _add(domain, "name", text=domain_name(server.id))
    _add(domain, "uuid", text=server.id)
    title = _clean(server.name)
    if title:
        _add(domain, "title", text=title)
    owner = etree.SubElement(_add(domain, "metadata"), f"{{{METADATA_URI}}}server", nsmap={"hostler": METADATA_URI})
    owner.set("id", server.id)
    owner.set("name", title)
    owner.set("host", machine.host)
    _add(domain, "memory", text=str(server.ram_mib), unit="MiB")
    _add(domain, "vcpu", text=str(server.vcpus), placement="static")
    system = _add(domain, "os")
    _add(system, "type", text="hvm", arch="x86_64", machine="q35")
    _add(system, "boot", dev="hd")
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    _add_cpu(domain, machine, server.vcpus)
    _add_clock(domain, machine)
    _add(domain, "on_poweroff", text="destroy")
    _add(domain, "on_reboot", text="restart")
    _add(domain, "on_crash", text="destroy")
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
        cpu = _add(domain, "cpu", mode=machine.cpu_mode)
        if machine.cpu_mode == "host-model":
            cpu.set("check", "partial")
    else:
        cpu = _add(domain, "cpu", mode="custom", match="exact", check="none")
        _add(cpu, "model", text=machine.cpu_mode, fallback="allow")
    _add(cpu, "topology", sockets=str(vcpus), cores="1", threads="1")


def _add_clock(domain: Any, machine: Machine) -> None:
    element = _add(domain, "clock", offset="utc")
    _add(element, "timer", name="rtc", tickpolicy="catchup")
    if machine.virt_type == "kvm":
        _add(element, "timer", name="pit", tickpolicy="delay")
    _add(element, "timer", name="hpet", present="no")


def _add_devices(domain: Any, guest: Guest, machine: Machine) -> None:
    devices = _add(domain, "devices")
    for disk in guest.disks:
        _add_disk(devices, disk, machine.disk_cache)
    _add(devices, "controller", type="usb", model="none")
    _add(devices, "controller", type="pci", index="0", model="pcie-root")
    # One for each device at boot, and free ones on top for what is attached later: q35 cannot grow any.
    for index in range(1, _static_devices(guest) + machine.pcie_ports + 1):
        _add(devices, "controller", type="pci", index=str(index), model="pcie-root-port")
    for nic in guest.nics:
        _add_nic(devices, nic)
    for kind in ("serial", "console"):
        element = _add(devices, kind, type="pty")
        if kind == "serial":
            # append: the log outlives reboots; the agent cuts it to size.
            _add(element, "log", file=str(guest.console_log), append="on")
            _add(element, "target", type="isa-serial", port="0")
        else:
            _add(element, "target", type="serial", port="0")
    channel = _add(devices, "channel", type="unix")
    _add(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    _add(devices, "input", type="tablet", bus="virtio")
    graphics = _add(devices, "graphics", type="vnc", autoport="yes")
    _add(graphics, "listen", type="address", address=machine.console_listen)
    _add(_add(devices, "video"), "model", type="vga", vram="16384", heads="1")
    _add(devices, "memballoon", model="virtio")
    _add(_add(devices, "rng", model="virtio"), "backend", text="/dev/urandom", model="random")


def _static_devices(guest: Guest) -> int:
    """Return how many devices take a root port at boot: disks, NICs, serial controller, tablet, balloon, rng."""
    return len(guest.disks) + len(guest.nics) + 4


def _add_disk(devices: Any, disk: Disk, cache: str) -> None:
    element = _add(devices, "disk", type="file", device="disk")
    driver = _add(element, "driver", name="qemu", type=disk.format)
    if disk.readonly:
        _add(element, "readonly")
    else:
        driver.set("cache", cache)
        driver.set("discard", "unmap")
    _add(element, "source", file=str(disk.path))
    _add(element, "target", dev=disk.target, bus="virtio")


def _add_nic(devices: Any, nic: Nic) -> None:
    element = _add(devices, "interface", type="bridge")
    _add(element, "mac", address=nic.mac_address)
    _add(element, "source", bridge=nic.bridge)
    _add(element, "target", dev=nic.tap)
    _add(element, "model", type="virtio")
    _add(element, "mtu", size=str(nic.mtu))
    _add(element, "alias", name=f"ua-{nic.port_id}")


def _add(parent: Any, tag: str, text: str | None = None, **attributes: str) -> Any:
    element = etree.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _clean(text: str) -> str:
    """Return `text` without what XML 1.0 cannot carry and without line breaks (libvirt refuses them in titles)."""
    return "".join(char for char in text if char.isprintable() and char not in "\ufffe\uffff").strip()
