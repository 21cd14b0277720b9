"""Network plumbing that only remembers what it was told; implements `compute.network`'s interface."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compute.leader_watch import LeaderWatch, elsewhere
from hostler.agent.faults import Faults
from hostler.resources.network import kinds
from hostler.resources.server.specs import NetworkSpec, PortSpec, RouterSpec, ServerSpec


class FakeEcho:
    """Has those answer whose addresses tests put into `answering`."""

    def __init__(self) -> None:
        self.answering: set[str] = set()

    def send(self, address: str) -> None:
        """Nothing is sent."""

    def answered(self) -> set[str]:
        """Return who answers."""
        return set(self.answering)

    def close(self) -> None:
        """Nothing to let go of."""


class FakeNetworkPlumbing:
    """`plugged` maps port id to its spec, `active` holds the ports whose filters stand; both for tests to look at."""

    def __init__(self, faults: Faults | None = None, physical_networks: tuple[str, ...] = (), host: str = "",
                 leaders: LeaderWatch | None = None) -> None:
        self.leaders = leaders or LeaderWatch(FakeEcho(), interval_s=0, multiplier=3)
        self.faults = faults or Faults()
        self.plugged: dict[str, PortSpec] = {}
        self.active: set[str] = set()
        self.servers: dict[str, ServerSpec] = {}
        self.groups: dict[str, list[str]] = {}
        self.physical_networks = physical_networks
        self._host = host
        # What `inspect` finds until it is repaired: for tests to add to.
        self.differences: list[dict[str, Any]] = []
        self.addresses: dict[str, list[str]] = {}
        self.lacking: dict[str, list[str]] = {}
        self.post_password: Callable[[str, str], bool] = lambda _server_id, _password: False
        self._lock = threading.Lock()

    def traits(self) -> list[str]:
        """Return that every kind of network can be carried, and the configured physical networks."""
        return kinds.traits_of((kinds.FLAT, kinds.VLAN, kinds.VXLAN), self.physical_networks)

    def plug(self, server: ServerSpec, port: PortSpec) -> str:
        """Remember the port; returns a bridge name."""
        self.faults.reach("network.plug:before", server.id)
        with self._lock:
            self.plugged[port.id] = port
            self.servers[server.id] = server
        self._follow()
        self.faults.reach("network.plug:after", server.id)
        return f"fb{port.network.id[:8]}"

    def activate(self, port: PortSpec) -> None:
        """Note that the port's filters stand."""
        self.faults.reach("network.activate", port.server_id)
        with self._lock:
            self.active.add(port.id)

    def unplug(self, port: PortSpec) -> None:
        """Forget the port; fine when it is unknown."""
        self.faults.reach("network.unplug:before", port.server_id)
        with self._lock:
            self.plugged.pop(port.id, None)
            self.active.discard(port.id)
            if not any(other.server_id == port.server_id for other in self.plugged.values()):
                self.servers.pop(port.server_id, None)
        self._follow()
        self.faults.reach("network.unplug:after", port.server_id)

    def apply_rules(self, ports: Sequence[PortSpec]) -> None:
        """Take over the ports' new rules."""
        self.faults.reach("network.apply_rules")
        with self._lock:
            self.plugged.update({port.id: port for port in ports if port.id in self.plugged})
        self._follow()

    def update_groups(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Take over the groups' members."""
        self.faults.reach("network.update_groups")
        with self._lock:
            self.groups.update({group_id: list(cidrs) for group_id, cidrs in groups.items()})

    def update_network(self, network: NetworkSpec, ports: Sequence[PortSpec]) -> None:
        """Take over the ports' new network."""
        self.apply_rules(ports)

    def restore(self, servers: Sequence[ServerSpec]) -> None:
        """Know exactly the ports of `servers`."""
        self.faults.reach("network.restore")
        with self._lock:
            self.servers = {server.id: server for server in servers}
            self.plugged = {port.id: port for server in servers for port in server.ports}
            self.active = set(self.plugged)
        self._follow()

    def confirm(self) -> None:
        """Nothing is in doubt."""

    def inspect(self, places: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return what tests say is wrong, and the external addresses for the ports plugged."""
        with self._lock:
            addresses = {router_id: list(others) for router_id, others in self.addresses.items()}
            for port in self.plugged.values():
                for router in port.network.routers:
                    own = router.outside.get(self._host)
                    addresses.setdefault(router.id, []).extend(
                        [*([own["address"].partition("/")[0]] if own else []), *self._ipv6_outside(router),
                         *(one.address for one in port.floating_ips if one.router_id == router.id)])
            return {"differences": list(self.differences), "addresses": addresses,
                    "lacking": {network_id: list(self.lacking.get(network_id, ())) for network_id in places}}

    def _ipv6_outside(self, router: RouterSpec) -> list[str]:
        leads = router.gateway is not None and (router.elected is None or router.elected.get("host") == self._host)
        return [address.partition("/")[0] for address in router.gateway.addresses
                if ":" in address] if leads and router.gateway is not None else []

    def repair(self) -> None:
        """Nothing is wrong any longer."""
        self.faults.reach("network.repair")
        with self._lock:
            self.differences, self.addresses, self.lacking = [], {}, {}

    def update_server(self, server: ServerSpec) -> None:
        """Take over what the guest may ask about itself, its ports' host names among it."""
        with self._lock:
            if server.id in self.servers:
                self.servers[server.id] = server
            for port in server.ports:
                if port.id in self.plugged:
                    self.plugged[port.id] = dataclasses.replace(self.plugged[port.id], hostname=port.hostname)

    def on_password(self, listener: Callable[[str, str], bool]) -> None:
        """Keep it for tests, which post as a guest would."""
        self.post_password = listener

    def close(self) -> None:
        """Watch nobody any more."""
        self.leaders.close()

    def _follow(self) -> None:
        with self._lock:
            routers = [router for port in self.plugged.values() for router in port.network.routers]
        self.leaders.follow(elsewhere(routers, self._host))
