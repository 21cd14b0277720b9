"""The routers of one host: each that a guest here is behind is made here, and routes for these guests alone.

What they are comes with the ports (`hostler.resources.network.router_specs`); nothing about them is kept but
`<state_path>/compute/routers/<router id>/`, which holds the namespace, so that a router is found after a crash.
What else than ways an elected one gives is in `compute.network.router_servers`.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from compute.leader_watch import LeaderWatch, elsewhere
from compute.network import announcements, ipv6, links, names, namespaces, overlay, router_links, router_servers
from compute.network.dhcp_server import DhcpServer
from compute.network.inspection import Difference
from compute.network.overlay import Entry
from compute.network.router_advertisements import Advertiser
from compute.network.router_rules import HostRouter
from compute.network.router_servers import RouterServers, Server
from hostler import errors
from hostler.agent.files import make_directory
from hostler.resources.server.specs import FloatingIpSpec, NetworkSpec, PortSpec, RouterPortSpec, RouterSpec

LOG = logging.getLogger(__name__)


def wanted(ports: Iterable[PortSpec], host: str) -> dict[str, HostRouter]:
    """Return the routers that some ports are behind, by id."""
    newest: dict[str, RouterSpec] = {}
    floating: dict[str, list[FloatingIpSpec]] = {}
    for port in ports:
        for router in port.network.routers:
            if router.id not in newest or router.revision > newest[router.id].revision:
                newest[router.id] = router
        for address in port.floating_ips:
            floating.setdefault(address.router_id, []).append(address)
    return {router_id: HostRouter(router, host, _translated(router, host, floating.get(router_id, ())))
            for router_id, router in newest.items()}


def _translated(router: RouterSpec, host: str, of_guests: Iterable[FloatingIpSpec]) -> tuple[FloatingIpSpec, ...]:
    """Return the floating IPs that a host translates: those of its guests; where one is elected, all or none."""
    if router.elected is not None:
        of_guests = router.floating if router.elected.get("host") == host else ()
    return tuple(sorted(of_guests, key=lambda one: one.address))


def leaders(network: NetworkSpec, host: str) -> list[tuple[str, str]]:
    """Return the MAC and the tunnel address of each other host that leads outside for a router on a network."""
    return [(names.wire_mac(port.id, router.elected["host"]), router.elected["tunnel_ip"])
            for router in network.routers if router.elected and router.elected["host"] != host
            for port in router.interfaces if port.network.id == network.id and router.elected["tunnel_ip"]]


def networks_of(routers: Mapping[str, HostRouter]) -> dict[str, NetworkSpec]:
    """Return the networks that routers lead to, each with its routers, by id."""
    found = {port.network.id: port.network for router in routers.values() for port in router.ports}
    return {network_id: dataclasses.replace(network, routers=tuple(
        router.spec for router in routers.values()
        if any(port.network.id == network_id for port in router.spec.interfaces)))
        for network_id, network in found.items()}


def places(network: NetworkSpec, members: Iterable[str], host: str, tunnel_ip: str) -> frozenset[Entry]:
    """Return what a VXLAN network's tables hold on a host: the ports elsewhere, as messages bring them, and the hosts
    that lead outside."""
    return (overlay.entries(members, tunnel_ip, ipv6=ipv6.answered_by_bridge(network))
            | overlay.ways(leaders(network, host)))


class Routers:
    """Makes and removes routers. `hold` makes a network that a router leads to, `drop_idle` removes those without
    guests that none leads to any more; `places` has where the ports of networks are."""

    def __init__(self, root: Path, host: str, hold: Callable[[NetworkSpec], None],
                 drop_idle: Callable[[Collection[str]], None], dhcp: DhcpServer,
                 places: Callable[[str], Collection[str]], leaders: LeaderWatch) -> None:
        self._root, self._host, self._leaders = root, host, leaders
        self._advertiser = Advertiser(dhcp.default_dns, dhcp.lease_time_s)
        self._servers = RouterServers(root.with_name("router-servers"), dhcp, places)
        self._hold, self._drop_idle = hold, drop_idle
        self._made: dict[str, HostRouter] = {}
        self._made_networks: dict[str, NetworkSpec] = {}
        self._serving: dict[str, Server] = {}
        self._lock = threading.Lock()  # taken with no network's lock held
        # Networks that must stay though no guest is on them here.
        self.held: frozenset[str] = frozenset()
        self.broken = False
        # The revisions of routers that this host led outside for before it booted.
        self._doubted: dict[str, int] = {}

    def doubt(self, ports: Iterable[PortSpec]) -> None:
        """Lead outside for no router that has nothing on this host yet, until told or confirmed.

        What is kept may be from before the host booted, and another one may lead by now, at the same address.
        """
        with self._lock:
            self._doubted = {router_id: router.spec.revision for router_id, router in wanted(ports, self._host).items()
                             if router.spec.elected and router.leader is None
                             and not namespaces.exists(self._namespace(router_id))}

    def confirm(self, ports: Callable[[], Iterable[PortSpec]]) -> None:
        """Doubt nothing any more."""
        if self._doubted:
            self._doubted = {}
            self.make(ports)

    def _believed(self, router: HostRouter) -> HostRouter:
        if self._doubted.get(router.spec.id) != router.spec.revision:
            return router
        return HostRouter(dataclasses.replace(router.spec, elected={}), self._host)

    def make(self, ports: Callable[[], Iterable[PortSpec]], *, again: bool = False) -> None:
        """Make the routers that the present ports are behind, with all their networks, and remove what is left over.

        `again` takes nothing for made, as after a restart. What fails is logged, and `broken` until it is done.
        """
        with self._lock:
            here = list(ports())
            routers = {router_id: self._believed(router) for router_id, router in wanted(here, self._host).items()}
            self._leaders.follow(elsewhere((router.spec for router in routers.values()), self._host))
            if not routers and not self.known and not self._servers.known:
                return
            if again:
                self._made, self._made_networks = {}, {}
            held = networks_of(routers)
            self.held = frozenset(held)
            self.broken = False
            self._serving = router_servers.wanted(routers, held)
            self._servers.keep_only(self._serving)  # before their routers go
            self._make_networks(held)
            self._make_only(routers)
            self._serve(here)
            self._drop_idle(held)

    def serves(self, network_ids: Collection[str | None]) -> bool:
        """Return whether a router here gives DHCP or DNS on one of some networks."""
        return any(server.network.id in network_ids for server in self._serving.values())

    def announce(self, ports: Iterable[PortSpec], *, arrive: bool = False) -> None:
        """Tell the external network that the floating IPs that lead to guests are here now, or all addresses of a
        router for which this host is elected. Where each host leads outside and guests arrive, tell it of this host's
        IPv6 addresses, too: the host they come from may not answer there for long."""
        found: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for port in ports:
            for floating in port.floating_ips:
                found[floating.router_id][floating.address] = None
            for spec in port.network.routers:
                router = self._made.get(spec.id)
                if router is not None and router.outside is not None:
                    found[spec.id].update(dict.fromkeys(self._told_with(router, router.outside, port, arrives=arrive)))
        for router_id, addresses in found.items():
            self._announce(router_id, addresses)

    def _told_with(self, router: HostRouter, outside: RouterPortSpec, port: PortSpec, *, arrives: bool) -> list[str]:
        given = [address.partition("/")[0] for address in outside.addresses]
        if router.spec.elected is not None:
            return given
        own = {fixed.ip_address for fixed in port.fixed_ips}
        return [*(address for address in given if arrives and ":" in address),
                *(one.address for one in router.entered if one.host == self._host and one.fixed_ip_address in own)]

    def _announce(self, router_id: str, addresses: Collection[str]) -> None:
        router = self._made.get(router_id)
        if router is None or router.outside is None:
            return
        device, mac = names.router_inner_name(router.outside.id), router.outside.mac_address

        def tell() -> None:
            for address in addresses:
                announcements.announce(device, mac, address)

        try:
            namespaces.run_inside(self._namespace(router_id), tell)
        except (errors.HostlerError, OSError) as failure:
            LOG.warning("Addresses %s could not be announced: %s", ", ".join(addresses), errors.details_of(failure))

    def servers_differ(self, routers: Mapping[str, HostRouter]) -> Iterator[Difference]:
        """Yield which servers of some routers do not run, and which are there that none of them needs."""
        needed = router_servers.wanted(routers, networks_of(routers))
        for port_id, server in sorted(needed.items()):
            if not self._servers.stands(port_id):
                yield Difference("router", server.router_id, f"its server for network {server.network.id}")
        yield from (Difference("port", port_id, "a router's DHCP and DNS server", leftover=True)
                    for port_id in sorted(self._servers.known - needed.keys()))

    def lost(self) -> list[str]:
        """Return the ids of the routers made here of which somebody has removed the namespace, a link, or a process."""
        with self._lock:
            if not self._made:
                return []
            there = links.present()
            ended = {server.router_id for port_id, server in self._serving.items()
                     if not self._servers.stands(port_id)}
            lost = [router_id for router_id, router in self._made.items()
                    if router_id in ended or not self._stands(router, there)]
        if lost:
            LOG.warning("Of routers %s the namespace, a link or a process is gone; making them again", ", ".join(lost))
        return lost

    def _stands(self, router: HostRouter, there: Collection[str]) -> bool:
        needed = [names.router_host_name(port.id) for port in router.ports
                  if names.bridge_name(port.network.id) in there]
        namespace = self._namespace(router.spec.id)
        return (namespaces.exists(namespace) and all(name in there for name in needed)
                and self._advertiser.stands(router, namespace.parent, namespace))

    @property
    def known(self) -> set[str]:
        """The ids of the routers that have something on this host."""
        return {path.name for path in self._root.iterdir()} if self._root.is_dir() else set()

    def _make_networks(self, networks: Mapping[str, NetworkSpec]) -> None:
        self._made_networks = {network_id: network for network_id, network in self._made_networks.items()
                               if networks.get(network_id) == network}
        for network in networks.values():
            if network.id in self._made_networks:
                continue
            try:
                self._hold(network)
                self._made_networks[network.id] = network
            except errors.HostlerError as failure:
                self.broken = True
                LOG.error("Network %s cannot be made for the routers that lead to it: %s", network.id, failure.details)

    def _serve(self, here: Sequence[PortSpec]) -> None:
        for server in self._serving.values():
            if server.router_id not in self._made:
                continue  # logged
            try:
                self._servers.make(server, self._namespace(server.router_id),
                                   [port for port in here if port.network.id == server.network.id])
            except (errors.HostlerError, OSError) as failure:
                self.broken = True
                LOG.error("DHCP and DNS of network %s cannot be given by router %s here: %s", server.network.id,
                          server.router_id, errors.details_of(failure))

    def _namespace(self, router_id: str) -> Path:
        return self._root / router_id / names.router_namespace_name(router_id)

    def _make_only(self, routers: Mapping[str, HostRouter]) -> None:
        for router_id in self.known - set(routers):
            self._try(router_id, None)
        for router_id, router in routers.items():
            if self._made.get(router_id) != router:
                self._try(router_id, router)

    def _try(self, router_id: str, router: HostRouter | None) -> None:
        directory, namespace = self._root / router_id, self._namespace(router_id)
        made = self._made.pop(router_id, None)
        try:
            if router is None:
                self._advertiser.stop(directory, namespace)
                router_links.remove(namespace, made)
                shutil.rmtree(directory)
                LOG.info("Router %s has no guest left on this host; removed", router_id)
            else:
                make_directory(directory, 0o700)
                router_links.make(router, namespace)
                self._advertiser.make(router, directory, namespace)
                self._made[router_id] = router
        except (errors.HostlerError, OSError) as failure:
            self.broken = True
            LOG.error("Router %s cannot be made or removed on this host: %s", router_id,
                      errors.details_of(failure))
