"""NICs in one domain: plug and unplug. Both functions may be repeated."""

from __future__ import annotations

import libvirt
from lxml import etree

from compute.virt.driver import Nic
from compute.virt.libvirt import nicxml
from compute.virt.libvirt.unplugging import ask_for
from hostler.resources.server.hardware import Hardware

_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


def attach(domain: libvirt.virDomain, nic: Nic, hardware: Hardware) -> None:
    """Plug into the guest, when it runs, and into its definition."""
    xml = nicxml.nic_xml(nic, hardware)
    if domain.isActive() and nic.port_id not in nicxml.nics_in(domain.XMLDesc(0)):
        domain.attachDeviceFlags(xml, _LIVE)
    if nic.port_id not in nicxml.nics_in(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)):
        domain.attachDeviceFlags(xml, _CONFIG)


def detach(domain: libvirt.virDomain, port_id: str, ask: bool) -> bool:
    """Return whether guest and definition are without the NIC; the definition follows the guest."""
    if domain.isActive():
        if ask and port_id in nicxml.nics_in(domain.XMLDesc(0)):
            ask_for(domain, nicxml.alias_of(port_id))
        if port_id in nicxml.nics_in(domain.XMLDesc(0)):
            return False
    kept = nicxml.nics_in(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)).get(port_id)
    if kept is not None:
        domain.detachDeviceFlags(etree.tostring(kept, encoding="unicode"), _CONFIG)
    return True
