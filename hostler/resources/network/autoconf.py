"""Addresses that guests form by themselves: a prefix and the EUI-64 of the MAC address (RFC 4291, appendix A).

On an automatic subnet (SLAAC, stateless DHCPv6) every port has exactly that address; nobody chooses it.
"""

from __future__ import annotations

import ipaddress
from typing import Final, Protocol

SLAAC: Final = "slaac"
STATELESS: Final = "dhcpv6-stateless"
STATEFUL: Final = "dhcpv6-stateful"
# Owners of ports that hold a subnet's gateway address rather than one formed from their MAC address.
ROUTERS: Final = frozenset({"network:router_interface", "network:router_interface_distributed",
                            "network:ha_router_replicated_interface", "network:router_centralized_snat"})


class Modes(Protocol):
    """What a subnet's row and its spec have in common."""

    @property
    def ipv6_ra_mode(self) -> str | None:
        """How hosts advertise the subnet; None: they do not."""

    @property
    def ipv6_address_mode(self) -> str | None:
        """How guests get their addresses."""


def is_automatic(subnet: Modes) -> bool:
    """Return whether guests of the subnet form their addresses."""
    return not {SLAAC, STATELESS}.isdisjoint({subnet.ipv6_ra_mode, subnet.ipv6_address_mode})


def address_in(cidr: str, mac: str) -> str:
    """Return the address that an interface with `mac` forms in the /64 `cidr`."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface_id = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Network(cidr)[int.from_bytes(interface_id)])


def link_local(mac: str) -> str:
    """Return the link-local address that an interface with `mac` forms."""
    return address_in("fe80::/64", mac)
