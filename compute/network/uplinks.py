"""What carries each network to other hosts: the interface of a physical network, a VLAN of it, or a tunnel."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from oslo_config import cfg

from compute.addresses import tunnel_ip
from compute.network import faults, links, names
from compute.network.links import Layout
from hostler import errors
from hostler.resources.network import kinds
from hostler.resources.server.specs import NetworkSpec


class Uplinks:
    """One host's."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._mappings: dict[str, str] = dict(conf.network.bridge_mappings)
        self.physical_networks = tuple(self._mappings)
        self.tunnel_ip = tunnel_ip(conf)
        self._drop_log_rate = int(conf.network.drop_log_rate)

    @functools.cached_property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of networks that this host can carry."""
        return tuple(kind for kind in links.kinds() if kind != kinds.VXLAN or self.tunnel_ip)

    def layout(self, network: NetworkSpec, namespace: Path) -> Layout:
        """Return the links of a network; raises `AgentError` when this host cannot carry it, NotImplementedHere for a
        kind of network that this release does not know."""
        return dataclasses.replace(self._links(network, namespace), drop_log_rate=self._drop_log_rate)

    def _links(self, network: NetworkSpec, namespace: Path) -> Layout:
        kind = network.network_type
        if kind == kinds.FLAT:
            interface = None if network.physical_network is None else self._interface(network.physical_network)
            return Layout(network, namespace, interface)
        if kind not in (kinds.VLAN, kinds.VXLAN):
            raise errors.NotImplementedHere(feature=f"Network type {kind}")
        if kind not in self.kinds:
            why = "module 8021q" if kind == kinds.VLAN else "module vxlan, and an IPv4 address in [compute] tunnel_ip"
            raise faults.fault(f"this host cannot carry {kind} networks ({why})")
        if kind == kinds.VLAN:
            return Layout(network, namespace, names.vlan_name(network.id),
                          parent=self._interface(str(network.physical_network)))
        return Layout(network, namespace, names.vxlan_name(network.id), tunnel_ip=self.tunnel_ip)

    def _interface(self, physical_network: str) -> str:
        found = self._mappings.get(physical_network)
        if found is None:
            raise faults.fault(f"physical network {physical_network} is not in this host's bridge_mappings")
        return found
