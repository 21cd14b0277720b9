"""Names of what a network and a port have on a host.

All are pure functions of the id, so that an agent that knows nothing but an id finds (or removes) what an earlier
agent made. Interface names have at most 15 characters (Linux, IFNAMSIZ); 11 hexadecimal digits of a random UUID keep
two of them apart.
"""

from __future__ import annotations

import hashlib

from hostler.resources.network import autoconf

_DIGITS = 11

BRIDGE_PREFIX = "hbr"
TAP_PREFIX = "htp"
VETH_HOST_PREFIX = "hvh"
VETH_INNER_PREFIX = "hvn"
IPV6_SET_PREFIX = "group6_"
VXLAN_PREFIX = "hvx"
VLAN_PREFIX = "hvl"
ROUTER_HOST_PREFIX = "hrh"
ROUTER_INNER_PREFIX = "hrn"
# Locally administered, unicast: by these two bytes any host knows a frame that another host's router sent.
WIRE_MAC_PREFIX = "06:1d"


def short_id(identifier: str) -> str:
    """Return the first digits of an id, as they stand in interface, chain and table names."""
    return identifier.replace("-", "")[:_DIGITS]


def bridge_name(network_id: str) -> str:
    """Return the name of the network's bridge."""
    return BRIDGE_PREFIX + short_id(network_id)


def tap_name(port_id: str) -> str:
    """Return the name of the port's tap device, which the hypervisor creates."""
    return TAP_PREFIX + short_id(port_id)


def veth_host_name(network_id: str) -> str:
    """Return the end of the namespace's veth pair that is a port of the bridge."""
    return VETH_HOST_PREFIX + short_id(network_id)


def veth_inner_name(network_id: str) -> str:
    """Return the end of the veth pair that is in the namespace."""
    return VETH_INNER_PREFIX + short_id(network_id)


def vxlan_name(network_id: str) -> str:
    """Return the name of the network's tunnel device, a port of the bridge."""
    return VXLAN_PREFIX + short_id(network_id)


def vlan_name(network_id: str) -> str:
    """Return the name of the network's VLAN interface, a port of the bridge."""
    return VLAN_PREFIX + short_id(network_id)


def router_host_name(port_id: str) -> str:
    """Return the end of a router port's veth pair that is a port of the network's bridge."""
    return ROUTER_HOST_PREFIX + short_id(port_id)


def router_inner_name(port_id: str) -> str:
    """Return the end of a router port's veth pair that is in the router's namespace."""
    return ROUTER_INNER_PREFIX + short_id(port_id)


def router_namespace_name(router_id: str) -> str:
    """Return the name of a router's network namespace, a file as `namespace_name`'s under `compute/routers`."""
    return f"hostler-router-{router_id}"


def namespace_name(network_id: str) -> str:
    """Return the name of the network namespace: the file in the network's state directory that keeps it alive.

    It is not under `/run/netns`, because agents with different state directories may share a file system; enter it
    with `nsenter --net=<state_path>/compute/networks/<network id>/<name>`.
    """
    return f"hostler-{network_id}"


def table_name(network_id: str) -> str:
    """Return the name of the network's nftables tables (one in family bridge, one in family inet)."""
    return f"hostler_{short_id(network_id)}"


def group_set(group_id: str, ip_version: int = 4) -> str:
    """Return the name of the nftables set with the members of a security group, in each table that needs it."""
    return f"{IPV6_SET_PREFIX if ip_version == 6 else 'group_'}{group_id.replace('-', '')}"


def bridge_mac(network_id: str) -> str:
    """Return the MAC of the bridge; the same on every host, so that a guest that moves keeps its gateway."""
    return _mac("bridge", network_id)


def service_mac(network_id: str) -> str:
    """Return the MAC of the DHCP and metadata server; the same on every host, like its address."""
    return _mac("service", network_id)


def outside_mac(router_id: str, host: str) -> str:
    """Return the MAC of a router on the external network, at a host without an address of its own there."""
    return _mac("outside", f"{router_id}:{host}")


def wire_mac(port_id: str, host: str) -> str:
    """Return the MAC that a host's frames from a router's port carry between hosts, where all have the port's own."""
    return WIRE_MAC_PREFIX + _mac("wire", f"{port_id}:{host}")[5:]


def wire_address(port_id: str, host: str) -> str:
    """Return the link-local address that a host's neighbour solicitations for a router's port have between hosts."""
    return autoconf.link_local(wire_mac(port_id, host))


def _mac(role: str, network_id: str) -> str:
    digest = hashlib.sha256(f"{role}:{network_id}".encode()).hexdigest()
    # 0x0a: locally administered, unicast; apart from the prefixes that guests get.
    return ":".join(["0a", *(digest[at:at + 2] for at in range(0, 10, 2))])
