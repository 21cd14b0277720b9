"""Two hosts on a real kernel with a router that one of them leads outside for, and the pings that a change costs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler import ids
from hostler.resources.server.specs import (
    FloatingIpSpec,
    ForwardingSpec,
    NetworkSpec,
    PortSpec,
    RouterPortSpec,
    RouterSpec,
)
from tests.harness import network_lab
from tests.harness.network_lab import Guest, make_network
from tests.harness.outside import Outside
from tests.harness.two_hosts import ALLOW_TCP, HostOfTwo, Segment, place

OWN, FLOATING, FORWARDED = "203.0.113.20", "203.0.113.30", "203.0.113.40"


def external_network() -> NetworkSpec:
    return make_network(name="external", physical_network="physnet1", subnet={
        "cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "dhcp_ip": None, "enable_dhcp": False})


class Scene:
    """A guest on each host, the second with a floating IP, behind one router; and a machine outside."""

    def __init__(self, hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path,
                 external: NetworkSpec | None = None, **network: Any) -> None:
        self.hosts = hosts
        self.world = Segment(tmp_path / "world", hosts)
        self.net = make_network(**{"network_type": "vxlan", "segmentation_id": 51, "subnet": {
            "cidr": "10.51.0.0/24", "gateway_ip": "10.51.0.1", "dhcp_ip": "10.51.0.2",
            "dns_nameservers": ("203.0.113.1",)}, **network})
        external = external or external_network()
        self.router = RouterSpec(
            id=ids.new_id(), revision=1,
            interfaces=(RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:01", network=self.net,
                                       addresses=("10.51.0.1/24",)),),
            gateway=RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:99", network=external))
        self.floating = FloatingIpSpec(address=FLOATING, fixed_ip_address="10.51.0.11", router_id=self.router.id)
        self.guests = [self._boot(hosts[0], 10), self._boot(hosts[1], 11, self.floating), self._boot(hosts[1], 12)]
        for host in hosts:
            host.tell(self.net, *(place(guest, at) for guest, at in zip(
                self.guests, (hosts[0], hosts[1], hosts[1]), strict=True)))

    def _boot(self, host: HostOfTwo, number: int, *floating: FloatingIpSpec) -> Guest:
        net = dataclasses.replace(self.net, routers=(self.flat(),))
        guest = host.on(lambda: host.cloud.boot(number, net, network_lab.ALLOW_OUT, network_lab.ALLOW_PING,
                                                ALLOW_TCP, floating_ips=floating))
        guest.run(f"busybox ip addr add {guest.address}/24 dev eth0; busybox ip route add default via 10.51.0.1")
        return guest

    def flat(self) -> RouterSpec:
        """Return the router without an elected host."""
        self.router = dataclasses.replace(
            self.router, revision=self.router.revision + 1, elected=None, floating=(), outside={
                host.tunnel_ip: {"mac": f"fa:16:3e:02:00:0{number}", "address": f"203.0.113.2{number}/24"}
                for number, host in enumerate(self.hosts)})
        return self.router

    def elected(self, host: HostOfTwo) -> RouterSpec:
        """Return the router with a host that leads outside."""
        self.router = dataclasses.replace(
            self.router, revision=self.router.revision + 1, floating=(self.floating,),
            elected={"host": host.tunnel_ip, "tunnel_ip": host.tunnel_ip},
            outside={host.tunnel_ip: {"mac": "fa:16:3e:01:00:99", "address": f"{OWN}/24"}},
            forwardings=(ForwardingSpec(
                address=FORWARDED, entry=host.tunnel_ip, host=host.tunnel_ip, protocol="tcp", external=(2222, 2222),
                fixed_ip_address="10.51.0.12", internal=(22, 22)),))
        return self.router

    def provide(self, **providers: str) -> RouterSpec:
        """Have others give the network's services; returns the router, which leads to the network."""
        self.net = dataclasses.replace(self.net, providers=providers)
        [port] = self.router.interfaces
        self.router = dataclasses.replace(self.router, revision=self.router.revision + 1, interfaces=(
            dataclasses.replace(port, network=self.net),))
        return self.router

    def tell(self, router: RouterSpec, *hosts: HostOfTwo) -> None:
        """Tell hosts in this order, and then the first to announce what it has, as a conductor does."""
        net = dataclasses.replace(self.net, routers=(router,))

        def ports(host: HostOfTwo) -> list[PortSpec]:
            return [dataclasses.replace(guest.port, network=net) for guest in host.cloud.guests]

        for host in hosts:
            host.on(lambda host=host: host.cloud.plumbing.update_network(net, ports(host)))
        hosts[0].on(lambda: hosts[0].cloud.plumbing.apply_rules(ports(hosts[0])))


@contextlib.contextmanager
def pinging(guest: Guest, address: str) -> Iterator[Callable[[], int]]:
    """As `Outside.pinging`, from a guest."""
    machine = object.__new__(Outside)
    machine.path = guest.path
    with machine.pinging(address) as missed:
        yield missed


@pytest.fixture
def scene(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path) -> Iterator[Scene]:
    """It, ended after the test."""
    made = Scene(hosts, tmp_path)
    try:
        yield made
    finally:
        made.world.close()
