"""DHCP and DNS that an elected router gives: a dnsmasq in its namespace, on the elected host alone.

It answers the guests of all hosts, whose frames their hosts send it (`compute.network.firewall_services`). It knows
guests here, their names and options from their ports, and those elsewhere from what the hosts of such a network are
told (`hostler.resources.network.peers`). Nobody is known by a lease, so the next server gives every guest what it has.

There is one process for each port of a router that gives something, with its files in
`<state_path>/compute/router-servers/<port id>/`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from compute.network import dhcp_files, names
from compute.network.dhcp_server import DhcpServer
from compute.network.dnsmasq import Dnsmasq
from compute.network.router_rules import HostRouter
from hostler.agent.files import make_directory
from hostler.resources.network import services
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, PortSpec, RouterPortSpec, SubnetSpec


@dataclasses.dataclass(frozen=True)
class Server:
    """What a router gives on one of its networks here: `leased` are the subnets with DHCP, `named` those with DNS."""

    router_id: str
    port: RouterPortSpec
    network: NetworkSpec
    leased: tuple[SubnetSpec, ...]
    named: tuple[SubnetSpec, ...]


def wanted(routers: Mapping[str, HostRouter], networks: Mapping[str, NetworkSpec]) -> dict[str, Server]:
    """Return the servers that a host must have, by the router's port; `networks` are with their routers."""
    found = {}
    for router in routers.values():
        if router.spec.elected is None or router.spec.elected.get("host") != router.host:
            continue
        for port in router.spec.interfaces:
            network = networks[port.network.id]
            leased, named = (tuple(subnet for subnet in network.subnets if _gives(network, subnet, service, port))
                             for service in (services.DHCP, services.DNS))
            leased = tuple(subnet for subnet in leased if subnet.enable_dhcp and subnet.dhcp_ip is not None)
            if leased or named:
                found[port.id] = Server(router.spec.id, port, network, leased, named)
    return found


def _gives(network: NetworkSpec, subnet: SubnetSpec, service: str, port: RouterPortSpec) -> bool:
    given = services.giver(network, subnet, service)
    return given is not None and given[1].id == port.id


class RouterServers:
    """One host's; `places` has where the ports of networks are, as messages bring it."""

    def __init__(self, root: Path, dhcp: DhcpServer, places: Callable[[str], Collection[str]]) -> None:
        self._root, self._dhcp, self._places = root, dhcp, places

    @property
    def known(self) -> set[str]:
        """The ids of the router ports that have something here."""
        return {path.name for path in self._root.iterdir()} if self._root.is_dir() else set()

    def keep_only(self, port_ids: Collection[str]) -> None:
        """Remove all other servers."""
        for port_id in self.known.difference(port_ids):
            self._process(port_id, self._root).stop()
            shutil.rmtree(self._root / port_id)

    def make(self, server: Server, namespace: Path, here: Sequence[PortSpec]) -> None:
        """Have a process serve with these settings; `here` are the ports on this host. Raises `AgentError`."""
        make_directory(self._root / server.port.id, 0o700)
        # The files are those of a network's own server that has only these subnets, all its own to serve.
        network = dataclasses.replace(server.network, subnets=server.leased, providers={
            service: provider for service, provider in server.network.providers.items() if service != services.DHCP})
        ports = [*here, *_elsewhere(server, {port.mac_address.lower() for port in here}, self._places)]
        self._dhcp.make(self._process(server.port.id, namespace), network, names.router_inner_name(server.port.id),
                        ports, services.router_address(server.port, (*server.leased, *server.named)[0]),
                        self._forwarders(server.named) if server.named else None)

    def stands(self, port_id: str) -> bool:
        """Return whether a server's process runs."""
        return self._process(port_id, self._root).alive()

    def _process(self, port_id: str, namespace: Path) -> Dnsmasq:
        return Dnsmasq(self._root / port_id, namespace)

    def _forwarders(self, subnets: Iterable[SubnetSpec]) -> list[str]:
        return list(dict.fromkeys(address for subnet in subnets
                                  for address in dhcp_files.forwarders(subnet, self._dhcp.default_dns)))


def _elsewhere(server: Server, known: Collection[str], places: Callable[[str], Collection[str]]) -> list[PortSpec]:
    """Return the ports of a network on other hosts, as far as they are known here."""
    addresses: dict[str, list[FixedIpSpec]] = {}
    served: dict[str, dict[str, Any]] = {}
    for mac, address, _, *rest in (place.split(" ", 3) for place in sorted(places(server.network.id))):
        if mac in known or address == "-" or ":" in address:
            continue
        addresses.setdefault(mac, []).extend(
            FixedIpSpec(ip_address=address, subnet_id=subnet.id) for subnet in server.leased
            if ipaddress.ip_address(address) in ipaddress.ip_network(subnet.cidr))
        # Where a network's DHCP changed hands a moment ago, they may still be without it.
        served[mac] = json.loads(rest[0]) if rest else {"id": "", "name": "", "options": ()}
    return [PortSpec(id=served[mac]["id"], server_id="", mac_address=mac, network=server.network,
                     fixed_ips=tuple(fixed), hostname=served[mac]["name"], dhcp_options=tuple(served[mac]["options"]))
            for mac, fixed in addresses.items()]
