"""IPv6 on a network's service interface and its routers': the addresses at which a host answers guests.

They are the same on every host, like the MAC address, and leave none: so nothing looks for duplicates (which would
keep dnsmasq from its addresses for a second), and the kernel takes nothing from advertisements.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

from compute.metadata import METADATA_IPV6
from compute.network import faults, names, sysctl
from hostler.resources.network import autoconf, kinds
from hostler.resources.server.specs import NetworkSpec, RouterPortSpec, SubnetSpec

# The kernel speaks no IPv6 on a smaller link (RFC 8200, 5).
_LEAST_MTU = 1280
# Of an address, rtnetlink(7): not looked for elsewhere, and so usable at once; looked for, or found elsewhere.
_NODAD = 0x02
_UNUSABLE = 0x48
_UP = 1  # IFF_UP, netdevice(7)
_SETTINGS = {"accept_ra": "0", "autoconf": "0", "accept_dad": "0", "addr_gen_mode": "1", "disable_ipv6": "0"}


def subnets(network: NetworkSpec) -> list[SubnetSpec]:
    """Return the network's IPv6 subnets; without any, no IPv6 is spoken to its guests."""
    return [subnet for subnet in network.subnets if subnet.ip_version == 6]


def answered_by_bridge(network: NetworkSpec) -> bool:
    """Return whether a network's bridge answers neighbour solicitations (`compute.network.overlay`)."""
    return (network.network_type == kinds.VXLAN and bool(subnets(network)) and network.mtu >= _LEAST_MTU
            and sysctl.ipv6_available())


def service_addresses(network: NetworkSpec) -> dict[str, int]:
    """Return where the namespace answers, with prefix lengths: nothing on a network without IPv6 subnets."""
    served = subnets(network)
    if not served:
        return {}
    return {autoconf.link_local(names.service_mac(network.id)): 64, METADATA_IPV6: 64,
            **{subnet.dhcp_ip: ipaddress.ip_network(subnet.cidr).prefixlen for subnet in served
               if subnet.dhcp_ip is not None}}


def router_ports(network: NetworkSpec) -> list[RouterPortSpec]:
    """Return the interfaces with IPv6 addresses that routers have on the network."""
    return [port for router in network.routers for port in router.interfaces
            if port.network.id == network.id and router_addresses(port)]


def router_addresses(port: RouterPortSpec) -> dict[str, int]:
    """Return where a router answers at one of its ports, with prefix lengths: nothing without IPv6 addresses."""
    given = {str(address.ip): address.network.prefixlen for address in map(ipaddress.ip_interface, port.addresses)
             if address.version == 6}
    return {autoconf.link_local(port.mac_address): 64, **given} if given else {}


def silence(name: str, link: Any) -> None:
    """Have an interface that comes up speak no IPv6 before `make_addresses`: the kernel would give it a link-local
    address, find that other hosts have it, too, and use it no more."""
    if not link["flags"] & _UP:
        sysctl.disable_ipv6(name)


def make_addresses(ipr: Any, name: str, index: int, wanted: Mapping[str, int], *, forwarding: bool) -> list[str]:
    """Give an interface exactly these addresses, and return those it did not have; called in its namespace, with the
    link up.

    Without any it speaks no IPv6. With `forwarding` off it never takes what is not its own. Raises `AgentError` on a
    host whose kernel has no IPv6.
    """
    if not wanted:
        sysctl.disable_ipv6(name)
        return []
    if not sysctl.ipv6_available():
        raise faults.fault("this host's kernel has no IPv6, which a subnet of the network needs")
    for setting, value in {"forwarding": "1" if forwarding else "0", **_SETTINGS}.items():
        sysctl.write(f"ipv6/conf/{name}/{setting}", value)
    present = {}
    for message in ipr.get_addr(family=socket.AF_INET6, index=index):
        address, prefixlen = message.get_attr("IFA_ADDRESS"), message["prefixlen"]
        if wanted.get(address) == prefixlen and not message.get_attr("IFA_FLAGS") & _UNUSABLE:
            present[address] = prefixlen
        else:
            ipr.addr("del", index=index, address=address, prefixlen=prefixlen)
    new = [address for address in wanted if address not in present]
    for address in new:
        ipr.addr("add", index=index, address=address, prefixlen=wanted[address], flags=_NODAD)
    return new
