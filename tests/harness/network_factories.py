"""Specs of networks, ports and servers."""

from __future__ import annotations

from typing import Any

from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, PortSpec, ServerSpec, SubnetSpec

NETWORK_ID = "6b1f3a52-90ab-4cde-8f01-23456789abcd"
PORT_ID = "11111111-2222-4333-8444-555555555555"


def subnet(**values: Any) -> SubnetSpec:
    """Return 10.0.0.0/24 with a gateway and a DHCP address, changed by `values`."""
    return SubnetSpec(**{"id": "subnet-1", "cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.1", "dhcp_ip": "10.0.0.2",
                         **values})


def network(**values: Any) -> NetworkSpec:
    """Return a flat network with one subnet, changed by `values`."""
    return NetworkSpec(**{"id": NETWORK_ID, "name": "net", "subnets": (subnet(),), **values})


def port(**values: Any) -> PortSpec:
    """Return a port at 10.0.0.5, changed by `values`."""
    return PortSpec(**{"id": PORT_ID, "mac_address": "FA:16:3E:00:00:05", "network": network(), "server_id": "server-1",
                       "hostname": "web1", "fixed_ips": (FixedIpSpec(ip_address="10.0.0.5", subnet_id="subnet-1"),),
                       **values})


def server(**values: Any) -> ServerSpec:
    """Return a server with one port, changed by `values`."""
    return ServerSpec(**{"id": "server-1", "name": "web1", "hostname": "web1", "project_id": "p", "user_id": "u",
                         "vcpus": 1, "ram_mib": 64, "root_gib": 1, "ports": (port(),), **values})
