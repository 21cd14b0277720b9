"""IPv6 on a network's service interface: the addresses at which its namespace answers guests.

They are the same on every host, like the MAC address, and leave none: so nothing looks for duplicates (which would
keep dnsmasq from its addresses for a second), and the kernel takes nothing from advertisements.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from compute.metadata import METADATA_IPV6
from compute.network import faults, names, sysctl
from hostler.resources.network import autoconf
from hostler.resources.server.specs import NetworkSpec, SubnetSpec

# `forwarding` off: the namespace is no router, and never gets what is not its own.
_SETTINGS = {"accept_ra": "0", "autoconf": "0", "accept_dad": "0", "forwarding": "0", "disable_ipv6": "0"}


def subnets(network: NetworkSpec) -> list[SubnetSpec]:
    """Return the network's IPv6 subnets; without any, no IPv6 is spoken to its guests."""
    return [subnet for subnet in network.subnets if subnet.ip_version == 6]


def service_addresses(network: NetworkSpec) -> dict[str, int]:
    """Return where the namespace answers, with prefix lengths: nothing on a network without IPv6 subnets."""
    served = subnets(network)
    if not served:
        return {}
    return {autoconf.link_local(names.service_mac(network.id)): 64, METADATA_IPV6: 64,
            **{subnet.dhcp_ip: ipaddress.ip_network(subnet.cidr).prefixlen for subnet in served
               if subnet.dhcp_ip is not None}}


def make_service(ipr: Any, network: NetworkSpec, name: str, index: int) -> None:
    """Give the interface exactly the network's service addresses; called in the namespace, with the link up.

    Raises `AgentError` on a host whose kernel has no IPv6.
    """
    wanted = service_addresses(network)
    if not wanted:
        sysctl.disable_ipv6(name)
        return
    if not sysctl.ipv6_available():
        raise faults.fault("this host's kernel has no IPv6, which a subnet of the network needs")
    for setting, value in _SETTINGS.items():
        sysctl.write(f"ipv6/conf/{name}/{setting}", value)
    present = {message.get_attr("IFA_ADDRESS"): message["prefixlen"]
               for message in ipr.get_addr(family=socket.AF_INET6, index=index)}
    for address, prefixlen in present.items():
        if wanted.get(address) != prefixlen:
            ipr.addr("del", index=index, address=address, prefixlen=prefixlen)
    for address, prefixlen in wanted.items():
        if present.get(address) != prefixlen:
            ipr.addr("replace", index=index, address=address, prefixlen=prefixlen)
