"""An agent that is killed before any of its outside actions while it makes a change of a network's services: traffic of
running guests goes on, and the next agent leaves the host exactly as if nothing had happened.

What guests that come and go need is in `test_network_plumbing` and `test_router_plumbing`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from compute import network as plumbing_package
from compute.network.plumbing import NetworkPlumbing
from hostler import ids
from hostler.resources.network import autoconf, kinds
from hostler.resources.server.specs import (
    FixedIpSpec,
    FloatingIpSpec,
    ForwardingSpec,
    LimitSpec,
    NetworkSpec,
    PortSpec,
    RouterPortSpec,
    RouterSpec,
    RuleSpec,
    ServerSpec,
    SubnetSpec,
)
from tests.harness import network_lab
from tests.harness.dying_agent import crash_at
from tests.harness.elected_router import pinging
from tests.harness.host_snapshot import differences, snapshot
from tests.harness.network_fixtures import host_namespace, hosts
from tests.harness.network_lab import Guest, make_network, wait_for
from tests.harness.two_hosts import HostOfTwo, Segment

__all__ = ["host_namespace", "hosts"]
pytestmark = [*network_lab.NEEDS, pytest.mark.timeout(900)]
# Every so many of the outside actions, from another one for each change.
_STRIDE = 20
GROUP = ids.new_id()
ALLOW = tuple(RuleSpec(direction=direction, ethertype=ethertype)
              for direction in ("ingress", "egress") for ethertype in ("IPv4", "IPv6"))
FROM_MEMBERS = RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", remote_is_group=True,
                        remote_group_id=GROUP, remote_cidrs=("198.51.100.0/24",))


@dataclasses.dataclass(frozen=True)
class Records:
    """What the records say: the router, values of the port of `beside`, members of groups and places of ports."""

    router: RouterSpec
    port: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    providers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    members: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)


def dual_stack(number: int, **values: Any) -> NetworkSpec:
    net = make_network(name=f"net{number}", subnet={
        "cidr": f"10.{number}.0.0/24", "gateway_ip": f"10.{number}.0.1", "dhcp_ip": f"10.{number}.0.2"}, **values)
    return dataclasses.replace(net, subnets=(*net.subnets, SubnetSpec(
        id=ids.new_id(), cidr=f"fd{number}::/64", ip_version=6, gateway_ip=f"fd{number}::1", dhcp_ip=f"fd{number}::2",
        ipv6_ra_mode="slaac", ipv6_address_mode="slaac")))


class Scene:
    """On the first host `known`, which has a floating IP, and `beside` on another subnet; on the second `other`."""

    def __init__(self, hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path) -> None:
        self.first, self.second = hosts
        self.world = Segment(tmp_path / "world", hosts)
        self.world.run("ip -6 addr add 2001:db8::1/64 dev eth0 nodad")
        self.nets = dual_stack(61, network_type=kinds.VXLAN, segmentation_id=61), dual_stack(62)
        external = make_network(name="external", physical_network="physnet1", subnet={
            "cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "dhcp_ip": None, "enable_dhcp": False})
        self.external = dataclasses.replace(external, subnets=(*external.subnets, SubnetSpec(
            id=ids.new_id(), cidr="2001:db8::/64", ip_version=6, gateway_ip="2001:db8::1", dhcp_ip=None,
            enable_dhcp=False)))
        self.router = RouterSpec(
            id=ids.new_id(), revision=1, gateway=self._port(99, self.external),
            interfaces=tuple(
                self._port(number, net, f"{net.subnets[0].gateway_ip}/24", f"{net.subnets[1].gateway_ip}/64")
                for number, net in enumerate(self.nets)),
            outside={host.tunnel_ip: {"mac": f"fa:16:3e:02:00:0{number}", "address": f"203.0.113.2{number}/24"}
                     for number, host in enumerate(hosts)})
        self.floating = FloatingIpSpec(address="203.0.113.30", fixed_ip_address="10.61.0.10", router_id=self.router.id)
        self.known = self._boot(self.first, 10, self.nets[0], floating_ips=(self.floating,))
        self.beside = self._boot(self.first, 11, self.nets[1])
        self.other = self._boot(self.second, 12, self.nets[0])
        for host in hosts:
            host.on(lambda host=host: host.cloud.plumbing.update_groups(self.places()))

    def _port(self, number: int, net: NetworkSpec, *addresses: str) -> RouterPortSpec:
        return RouterPortSpec(id=ids.new_id(), mac_address=f"fa:16:3e:01:00:{number:02x}", network=net,
                              addresses=addresses)

    def _boot(self, host: HostOfTwo, number: int, net: NetworkSpec, **values: Any) -> Guest:
        ipv6 = autoconf.address_in(net.subnets[1].cidr, f"fa:16:3e:00:00:{number:02x}")
        routed = dataclasses.replace(net, routers=(self.router,))
        guest = host.on(lambda: host.cloud.boot(number, routed, *ALLOW, fixed_ips=(
            FixedIpSpec(ip_address=f"{net.subnets[0].cidr.rpartition('.')[0]}.{number}", subnet_id=net.subnets[0].id),
            FixedIpSpec(ip_address=ipv6, subnet_id=net.subnets[1].id)), **values))
        guest.run(f"busybox ip addr add {guest.address}/24 dev eth0; busybox ip route add default via "
                  f"{net.subnets[0].gateway_ip}")
        return guest

    def places(self, *more: str) -> dict[str, list[str]]:
        """Return where the ports of the overlay network are."""
        here = {self.known: self.first, self.other: self.second}
        return {kinds.key(self.nets[0].id): [*more, *(
            f"{guest.port.mac_address} {fixed.ip_address} {host.tunnel_ip}"
            for guest, host in here.items() for fixed in guest.port.fixed_ips)]}

    def servers(self, records: Records) -> list[ServerSpec]:
        """Return what the first host's servers are, as the records have them."""
        return [dataclasses.replace(guest.server, ports=(port,))
                for guest, port in zip((self.known, self.beside), self.ports(records), strict=True)]

    def ports(self, records: Records) -> list[PortSpec]:
        provided = [dataclasses.replace(net, providers=dict(records.providers)) for net in self.nets]
        router = dataclasses.replace(records.router, interfaces=tuple(
            dataclasses.replace(port, network=net)
            for port, net in zip(records.router.interfaces, provided, strict=True)))
        known, beside = (dataclasses.replace(guest.port, network=dataclasses.replace(net, routers=(router,)))
                         for guest, net in zip((self.known, self.beside), provided, strict=True))
        return [known, dataclasses.replace(beside, **records.port)]

    def reconcile(self, plumbing: NetworkPlumbing, records: Records) -> None:
        """Do what an agent that starts does, and what a conductor tells it then."""
        plumbing.restore(self.servers(records))
        plumbing.update_groups({GROUP: [], **self.places(), **records.members})

    def networks(self, plumbing: NetworkPlumbing, records: Records) -> None:
        """Tell of the networks, as `network.update` does."""
        for port in self.ports(records):
            plumbing.update_network(port.network, [port])

    def rules(self, plumbing: NetworkPlumbing, records: Records) -> None:
        """Tell of the ports, as `port.update` does."""
        plumbing.apply_rules(self.ports(records))

    def groups(self, plumbing: NetworkPlumbing, records: Records) -> None:
        """Tell of members and places."""
        plumbing.update_groups(records.members)


Change = tuple[Callable[[NetworkPlumbing, Records], None], Records, Records]


def changes(scene: Scene) -> dict[str, Change]:
    """Return each change: how it is told, and the records before and after."""
    router, here = scene.router, scene.first.tunnel_ip
    plain = Records(router)
    elected = dataclasses.replace(
        router, elected={"host": here, "tunnel_ip": here}, floating=(scene.floating,),
        outside={here: {"mac": router.gateway.mac_address if router.gateway else "", "address": "203.0.113.20/24"}})
    assert router.gateway is not None
    forwarding = ForwardingSpec(address="203.0.113.40", entry=here, host=here, protocol="tcp", external=(2222, 2222),
                                fixed_ip_address="10.62.0.11", internal=(22, 22))

    def routed(base: RouterSpec = router, **values: Any) -> Records:
        return Records(dataclasses.replace(base, revision=2, **values))

    second = {"floating_ips": (FloatingIpSpec(address="203.0.113.31", fixed_ip_address="10.62.0.11",
                                              router_id=router.id),)}
    limited = {"limits": (LimitSpec(direction="egress", max_kbps=100_000), LimitSpec(direction="ingress",
                                                                                     max_kbps=100_000))}
    grouped = {"rules": (*ALLOW, FROM_MEMBERS)}
    stranger = f"fa:16:3e:00:00:77 10.61.0.77 {scene.second.tunnel_ip}"
    return {
        "a floating IP comes": (scene.rules, plain, Records(router, second)),
        "a floating IP goes": (scene.rules, Records(router, second), plain),
        "a port forwarding comes": (scene.networks, plain, routed(forwardings=(forwarding,))),
        "a port forwarding goes": (scene.networks, Records(dataclasses.replace(router, forwardings=(forwarding,))),
                                   routed()),
        "the gateway gets an IPv6 address": (scene.networks, plain, routed(
            gateway=dataclasses.replace(router.gateway, addresses=("2001:db8::20/64",)))),
        "a route comes": (scene.networks, plain, routed(
            routes=({"destination": "192.168.9.0/24", "nexthop": "10.61.0.12"},))),
        "a bandwidth limit comes": (scene.rules, plain, Records(router, limited)),
        "a bandwidth limit goes": (scene.rules, Records(router, limited), plain),
        "rules name a group and an address group": (scene.rules, plain, Records(router, grouped)),
        "a group gets a member": (scene.groups, Records(router, grouped), Records(router, grouped, members={
            GROUP: ["fa:16:3e:00:00:77 10.61.0.77/32"]})),
        "a port comes on another host": (scene.groups, plain, Records(router, members=scene.places(stranger))),
        "this host is elected": (scene.networks, plain, routed(elected)),
        "another host is elected": (scene.networks, Records(elected), routed(elected, elected={
            "host": scene.second.tunnel_ip, "tunnel_ip": scene.second.tunnel_ip}, outside={})),
        "no host is elected any more": (scene.networks, Records(elected), routed()),
        "the router gives DHCP and DNS": (scene.networks, Records(elected), dataclasses.replace(
            routed(elected), providers={"DHCP": "VirtualRouter", "DNS": "VirtualRouter"})),
        "each host gives them again": (scene.networks, Records(elected, providers={
            "DHCP": "VirtualRouter", "DNS": "VirtualRouter"}), routed(elected))}


@pytest.fixture
def scene(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path) -> Iterator[Scene]:
    made = Scene(hosts, tmp_path)
    try:
        yield made
    finally:
        made.world.close()


def test_traffic_goes_on_and_nothing_is_left(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    cloud, state = scene.first.cloud, scene.first.cloud.directory / "state" / "compute"
    assert scene.world.pings("203.0.113.30")
    ipv6 = scene.known.port.fixed_ips[1].ip_address
    for guest, address in ((scene.beside, scene.known.address), (scene.other, scene.known.address),
                           (scene.beside, ipv6), (scene.other, ipv6)):
        assert wait_for(lambda guest=guest, address=address: guest.pings(address), 30), address
    points = 0
    for name, (tell, before, after) in changes(scene).items():
        outside_stays = before.router.elected == after.router.elected

        def act(plumbing: NetworkPlumbing, tell: Any = tell, after: Records = after) -> None:
            tell(plumbing, after)

        def start(records: Records) -> None:
            cloud.restart_agent()
            scene.reconcile(cloud.plumbing, records)

        start(before)
        act(cloud.plumbing)
        wanted = snapshot(state)
        start(before)
        if outside_stays:
            assert scene.world.pings("203.0.113.30")
        with contextlib.ExitStack() as stack:
            lost = {"across the router": stack.enter_context(pinging(scene.beside, scene.known.address)),
                    "across the router, IPv6": stack.enter_context(pinging(scene.beside, ipv6)),
                    "from another host": stack.enter_context(pinging(scene.other, scene.known.address)),
                    "from another host, IPv6": stack.enter_context(pinging(scene.other, ipv6))}
            if outside_stays:
                lost["from outside"] = stack.enter_context(scene.world.pinging("203.0.113.30"))
            for step in itertools.count(len(name) % _STRIDE, _STRIDE):
                start(before)
                cloud.plumbing.close()
                died = crash_at(cloud, act, step)
                cloud.plumbing = plumbing_package.build(cloud.conf)
                scene.reconcile(cloud.plumbing, after)
                assert differences(wanted, snapshot(state)) == [], (name, step)
                if not died:
                    break
                points += 1
        assert cloud.plumbing.inspect({})["differences"] == [], name
        assert {where: count() for where, count in lost.items() if count()} == {}, name
    with capsys.disabled():
        print(f"\n{points} deaths, no ping lost")
    assert points >= 15
