"""A router that two hosts make, each for its own guests, between VXLAN networks: what reaches whom, and from where."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from compute.network import names
from hostler import ids
from hostler.resources.server.specs import (
    FloatingIpSpec,
    ForwardingSpec,
    NetworkSpec,
    RouterPortSpec,
    RouterSpec,
    RuleSpec,
)
from tests.harness import network_lab
from tests.harness.network_fixtures import host_namespace, hosts
from tests.harness.network_lab import ALLOW_OUT, ALLOW_PING, Guest, make_network, wait_for
from tests.harness.outside import Outside
from tests.harness.two_hosts import HostOfTwo, place

__all__ = ["host_namespace", "hosts"]
pytestmark = network_lab.NEEDS
GROUP = ids.new_id()
FROM_MEMBERS = RuleSpec(direction="ingress", ethertype="IPv4", remote_is_group=True, remote_group_id=GROUP)


def routed() -> tuple[NetworkSpec, NetworkSpec]:
    """Return two networks that a router joins."""
    nets = [make_network(network_type="vxlan", segmentation_id=number, subnet={
        "cidr": f"10.{number}.0.0/24", "gateway_ip": f"10.{number}.0.1", "dhcp_ip": f"10.{number}.0.2"})
        for number in (41, 42)]
    router = RouterSpec(id=ids.new_id(), revision=1, interfaces=tuple(RouterPortSpec(
        id=ids.new_id(), mac_address=f"fa:16:3e:01:00:{number:02x}", network=net,
        addresses=(f"{net.subnets[0].gateway_ip}/24",)) for number, net in enumerate(nets)))
    one, two = (dataclasses.replace(net, routers=(router,)) for net in nets)
    return one, two


def outside_network() -> NetworkSpec:
    return make_network(name="external", physical_network="physnet1", subnet={
        "cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "dhcp_ip": None, "enable_dhcp": False})


def boot(host: HostOfTwo, number: int, net: NetworkSpec, *rules: RuleSpec) -> Guest:
    guest = host.boot(number, net, *rules)
    assert guest.run(f"busybox ip route add default via {net.subnets[0].gateway_ip}").returncode == 0
    return guest


def test_guests_of_two_subnets_on_two_hosts_reach_each_other(hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
    first, second = hosts
    one, two = routed()
    here, there, member = boot(first, 10, one), boot(second, 11, two), boot(second, 12, two, ALLOW_OUT, FROM_MEMBERS)
    for host in hosts:
        host.tell(one, place(here, first))
        host.tell(two, place(there, second), place(member, second))
        host.on(lambda host=host: host.cloud.plumbing.update_groups({GROUP: []}))
    assert wait_for(lambda: here.pings(there.address) and there.pings(here.address), 30)
    there.listen(80)
    assert here.reaches(there.address, 80)
    # Rules that admit a group know its members behind the router, and nobody else.
    assert not here.pings(member.address) and not there.pings(member.address)
    for host in hosts:
        host.on(lambda host=host: host.cloud.plumbing.update_groups({
            GROUP: [f"{here.port.mac_address} {here.address}/32"]}))
    assert wait_for(lambda: here.pings(member.address), 30)
    assert not there.pings(member.address)
    # An agent that starts again finds all of it in place, and the last guest takes everything along.
    first.cloud.restart_agent()
    first.cloud.plumbing.restore([here.server])
    assert here.pings(there.address)
    first.on(here.power_off)
    first.cloud.guests.remove(here)
    first.cloud.plumbing.unplug(here.port)
    assert not [name for name in first.links() if name.startswith(("hvx", "hbr", "hvh", "hrh"))]


def test_a_floating_ip_follows_its_guest(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path) -> None:
    first, second = hosts
    external = outside_network()
    inside, _ = routed()
    gateway = RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:99", network=external)
    router = dataclasses.replace(inside.routers[0], interfaces=inside.routers[0].interfaces[:1], gateway=gateway)
    net = dataclasses.replace(inside, routers=(router,))
    values: Any = {"id": ids.new_id(), "floating_ips": (FloatingIpSpec(
        address="203.0.113.30", fixed_ip_address="10.41.0.11", router_id=router.id),)}
    # Somebody of the router's on each host, so that both have the external network.
    for number, host in ((12, first), (13, second)):
        boot(host, number, net)
    world = Outside(tmp_path / "world", names.bridge_name(external.id))
    try:
        for host in (second, first, second):
            guest = host.on(lambda host=host: host.cloud.boot(11, net, ALLOW_OUT, ALLOW_PING, **values))
            guest.run("busybox ip addr add 10.41.0.11/24 dev eth0; busybox ip route add default via 10.41.0.1")
            mac = names.outside_mac(router.id, host.tunnel_ip)
            assert world.pings("203.0.113.30")
            assert mac in world.run("busybox ip neigh").stdout
            host.on(guest.power_off)
            host.cloud.guests.remove(guest)
            host.on(lambda host=host, guest=guest: host.cloud.plumbing.unplug(guest.port))
    finally:
        world.close()


def test_ports_of_one_address_lead_to_guests_on_both_hosts(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path) -> None:
    external = outside_network()
    inside, _ = routed()
    router = dataclasses.replace(
        inside.routers[0], interfaces=inside.routers[0].interfaces[:1],
        gateway=RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:99", network=external),
        forwardings=tuple(ForwardingSpec(
            address="203.0.113.40", entry=hosts[0].tunnel_ip, host=host.tunnel_ip, protocol="tcp",
            external=(2200 + number, 2200 + number), fixed_ip_address=f"10.41.0.{number}", internal=(22, 22))
            for number, host in ((10, hosts[0]), (11, hosts[1]))))
    net = dataclasses.replace(inside, routers=(router,))
    guests = [boot(host, number, net) for number, host in ((10, hosts[0]), (11, hosts[1]))]
    for guest in guests:
        guest.listen(22)
    world = Outside(tmp_path / "world", names.bridge_name(external.id))
    try:
        for number, guest in ((10, guests[0]), (11, guests[1])):
            assert wait_for(lambda number=number, guest=guest:
                            world.answer("203.0.113.40", 2200 + number) == guest.address, 30), number
        assert names.outside_mac(router.id, hosts[0].tunnel_ip) in world.run("busybox ip neigh").stdout
    finally:
        world.close()
