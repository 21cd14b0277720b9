"""Which provider gives a network's services: what they are called, and what follows from a network as hosts know it.

`Flat` is each host, for its own guests. `VirtualRouter` is the one host that leads outside for a router, elected
(`hostler.resources.network.elections`), for the guests on all hosts. Of a network's services three are its own to
choose (`CHOSEN`); those that face outside are its routers'; and security groups are enforced where guests are, by each
host.

What a network chose is kept as it was said. Where no elected router joins the network (any more), the hosts give what
it was to give: no guest goes without because a router went. IPv6 subnets are each host's in any case, and so is
metadata: a router's host knows nothing of guests elsewhere but their addresses.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from hostler.resources.server.specs import NetworkSpec, RouterPortSpec, RouterSpec, SubnetSpec

FLAT: Final = "Flat"
VIRTUAL_ROUTER: Final = "VirtualRouter"
NOBODY: Final = ""

DHCP: Final = "DHCP"
DNS: Final = "DNS"
USERDATA: Final = "Userdata"
SNAT: Final = "SNAT"
EIP: Final = "Eip"
PORT_FORWARDING: Final = "PortForwarding"
SECURITY_GROUP: Final = "SecurityGroup"

CHOSEN: Final = (DHCP, DNS, USERDATA)
OF_ROUTERS: Final = (SNAT, EIP, PORT_FORWARDING)
OFFERED: Final = {FLAT: (*CHOSEN, *OF_ROUTERS, SECURITY_GROUP), VIRTUAL_ROUTER: (DHCP, DNS, *OF_ROUTERS)}


def by_hosts(network: NetworkSpec, subnet: SubnetSpec, service: str) -> bool:
    """Return whether each host gives a service on a subnet to its own guests."""
    provider = network.providers.get(service, FLAT)
    return provider == FLAT or provider == VIRTUAL_ROUTER and giver(network, subnet, service) is None


def giver(network: NetworkSpec, subnet: SubnetSpec, service: str) -> tuple[RouterSpec, RouterPortSpec] | None:
    """Return the router whose elected host gives a service on a subnet, and its port there.

    The host itself is `router.elected`, which names none while no host can be elected.
    """
    if network.providers.get(service) != VIRTUAL_ROUTER or subnet.ip_version != 4:
        return None
    cidr = ipaddress.ip_network(subnet.cidr)
    for router in sorted(network.routers, key=lambda router: router.id):
        for port in router.interfaces if router.elected is not None and router.gateway is not None else ():
            if port.network.id == network.id and any(ipaddress.ip_interface(address).ip in cidr
                                                     for address in port.addresses):
                return router, port
    return None


def router_address(port: RouterPortSpec, subnet: SubnetSpec) -> str:
    """Return the address of a router's port on a subnet that it is a `giver` on."""
    cidr = ipaddress.ip_network(subnet.cidr)
    return next(str(address.ip) for address in map(ipaddress.ip_interface, port.addresses) if address.ip in cidr)
