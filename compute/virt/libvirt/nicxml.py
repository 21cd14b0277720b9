"""The <interface> element of one NIC, in a new guest's definition and for hot plug.

A NIC is known by its alias `ua-<port id>`, in the guest that runs and in its definition.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from compute.virt.driver import Nic
from compute.virt.libvirt.elements import add
from hostler.resources.server.hardware import Hardware

_ALIAS = "ua-"


def alias_of(port_id: str) -> str:
    """Return the alias of a port's NIC."""
    return f"{_ALIAS}{port_id}"


def add_nic(devices: Any, nic: Nic, hardware: Hardware) -> None:
    """Add the element to <devices>."""
    element = add(devices, "interface", type="bridge")
    add(element, "mac", address=nic.mac_address)
    add(element, "source", bridge=nic.bridge)
    add(element, "target", dev=nic.tap)
    add(element, "model", type=hardware.vif_model)
    add(element, "mtu", size=str(nic.mtu))
    if hardware.vif_limits:
        bandwidth = add(element, "bandwidth")
        for way, limits in hardware.vif_limits.items():
            add(bandwidth, way, **{name: str(value) for name, value in limits.items()})
    add(element, "alias", name=alias_of(nic.port_id))


def nic_xml(nic: Nic, hardware: Hardware) -> str:
    """Return the element alone, for hot plug."""
    devices = etree.Element("devices")
    add_nic(devices, nic, hardware)
    return etree.tostring(devices[0], encoding="unicode")


def nics_in(xml: str) -> dict[str, Any]:
    """Return the <interface> elements of a domain by port id."""
    found = {}
    for element in etree.fromstring(xml).iterfind("devices/interface"):
        alias = element.find("alias")
        name = alias.get("name", "") if alias is not None else ""
        if name.startswith(_ALIAS):
            found[name.removeprefix(_ALIAS)] = element
    return found
