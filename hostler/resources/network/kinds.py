"""Kinds of networks, and what agents, conductors and the scheduler call what belongs to them.

Traits, which agents report and servers' networks need:

    network:flat            reported by every agent that knows these traits
    network:vlan, :vxlan    its kernel can make the devices (and it has a tunnel address)
    physnet:NAME            it has an interface on the physical network

Where the ports of a VXLAN network are travels beside the members of security groups, under the network's key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

FLAT: Final = "flat"
VLAN: Final = "vlan"
VXLAN: Final = "vxlan"

KIND: Final = "network:"
PHYSICAL: Final = "physnet:"
REPORTED: Final = KIND + FLAT

_KEY: Final = "network/"


def traits_of(kinds: Iterable[str], physical_networks: Iterable[str]) -> list[str]:
    """Return what a host reports."""
    return sorted([*(KIND + kind for kind in kinds), *(PHYSICAL + name for name in physical_networks)])


def words(trait: str) -> str:
    """Return a trait as an error names it."""
    if trait.startswith(PHYSICAL):
        return f"physical network {trait.removeprefix(PHYSICAL)}"
    return f"{trait.removeprefix(KIND)} on the host"


def key(network_id: str) -> str:
    """Return what a network is called among the groups of a message."""
    return _KEY + network_id


def network_of(name: str) -> str | None:
    """Return the id of the network that `name` is the key of; None for a security group's id."""
    return name.removeprefix(_KEY) if name.startswith(_KEY) else None
