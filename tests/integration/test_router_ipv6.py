"""The agent's routers on a real kernel, with IPv6: who is the way out, and what is reached through it.

As in `test_router_plumbing`, guests are namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compute import network as plumbing_package
from compute.network import names, namespaces, nft, router_rules
from hostler import ids
from hostler.resources.network import autoconf
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, RouterPortSpec, RouterSpec, RuleSpec, SubnetSpec
from tests.harness import dhcpv6_client, network_lab
from tests.harness.dying_agent import crash_at
from tests.harness.network_fixtures import cloud, host_namespace
from tests.harness.network_lab import ALLOW_OUT, Cloud, Guest, make_network, make_server, wait_for
from tests.harness.outside import Outside
from tests.harness.two_hosts import HostOfTwo, Segment, two_hosts

__all__ = ["cloud", "host_namespace"]

pytestmark = network_lab.NEEDS
OUT = RuleSpec(direction="egress", ethertype="IPv6")
PING = RuleSpec(direction="ingress", ethertype="IPv6", protocol="ipv6-icmp", port_min=128, port_max=0)
GROUP = ids.new_id()
FROM_MEMBERS = RuleSpec(direction="ingress", ethertype="IPv6", remote_is_group=True, remote_group_id=GROUP)
_STRIDE = 20


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[HostOfTwo, HostOfTwo]]:
    with two_hosts(tmp_path) as made:
        yield made


def net_of(number: int, mode: str | None = "slaac", **values: Any) -> NetworkSpec:
    """A network with 10.NUMBER.0.0/24 and fdNUMBER::/64."""
    net = make_network(name=f"net{number}", subnet={
        "cidr": f"10.{number}.0.0/24", "gateway_ip": f"10.{number}.0.1", "dhcp_ip": f"10.{number}.0.2"}, **values)
    return dataclasses.replace(net, subnets=(*net.subnets, SubnetSpec(
        id=ids.new_id(), cidr=f"fd{number}::/64", ip_version=6, gateway_ip=f"fd{number}::1", dhcp_ip=f"fd{number}::2",
        ipv6_ra_mode=mode, ipv6_address_mode=mode)))


def router_port(net: NetworkSpec, number: int, *addresses: str) -> RouterPortSpec:
    return RouterPortSpec(id=ids.new_id(), mac_address=f"fa:16:3e:01:00:{number:02x}",
                          network=dataclasses.replace(net, routers=()), addresses=addresses)


def router_of(*nets: NetworkSpec, **values: Any) -> RouterSpec:
    ports = tuple(router_port(net, number, f"{net.subnets[1].gateway_ip}/64") for number, net in enumerate(nets))
    return RouterSpec(**{"id": ids.new_id(), "revision": 1, "interfaces": ports, **values})


def behind(router: RouterSpec, *nets: NetworkSpec) -> list[NetworkSpec]:
    return [dataclasses.replace(net, routers=(router,)) for net in nets]


def addressed(number: int, net: NetworkSpec, address: str | None) -> dict[str, Any]:
    return {"fixed_ips": (
        FixedIpSpec(ip_address=f"{net.subnets[0].cidr.rpartition('.')[0]}.{number}", subnet_id=net.subnets[0].id),
        FixedIpSpec(ip_address=address or autoconf.address_in(net.subnets[1].cidr, f"fa:16:3e:00:00:{number:02x}"),
                    subnet_id=net.subnets[1].id))}


def boot(cloud: Cloud, number: int, net: NetworkSpec, *rules: RuleSpec, address: str | None = None) -> Guest:
    return cloud.boot(number, net, *(rules or (OUT, PING)), **addressed(number, net, address))


def ipv6(guest: Guest) -> str:
    return guest.port.fixed_ips[1].ip_address


def ways_out(guest: Guest) -> set[str]:
    """Return the routers that the guest has heard of, for which it need not be configured."""
    return set(re.findall(r"default via (\S+)", guest.run("busybox ip -6 route").stdout))


def pings(guest: Guest, address: str) -> bool:
    return wait_for(lambda: guest.run(f"busybox ping6 -c 1 -W 1 {address}").returncode == 0, 30)


def ready(guest: Guest, router: RouterSpec, interface: int = 0) -> bool:
    """Wait until the guest has formed its address and heard of its router; ask again as a guest that starts does."""
    way = {autoconf.link_local(router.interfaces[interface].mac_address)}
    assert wait_for(lambda: f" {ipv6(guest)}/" in guest.run("busybox ip -6 addr show dev eth0").stdout, 30)
    return wait_for(lambda: ways_out(guest) == way, 30)


def test_guests_hear_of_their_router_and_reach_each_other_through_it(cloud: Cloud) -> None:
    one, two = net_of(31), net_of(32)
    router = router_of(one, two)
    first, second = behind(router, one, two)
    a, b, member = boot(cloud, 10, first), boot(cloud, 11, second), boot(cloud, 12, second, OUT, FROM_MEMBERS)
    assert ready(a, router) and ready(b, router, 1) and ready(member, router, 1)
    assert pings(a, ipv6(b)) and pings(b, ipv6(a)) and pings(a, "fd31::1")
    assert not a.pings(ipv6(member))
    cloud.plumbing.update_groups({GROUP: [f"{a.port.mac_address} {ipv6(a)}/128"]})
    assert pings(a, ipv6(member)) and not b.pings(ipv6(member))
    directory = cloud.directory / "state/compute/routers" / router.id
    process = (directory / "dnsmasq.pid").read_text()
    cloud.restart_agent()
    cloud.plumbing.restore([guest.server for guest in (a, b, member)])
    assert (directory / "dnsmasq.pid").read_text() == process and pings(a, ipv6(b))
    # A guest that starts again hears of it at once.
    a.run("busybox ip link set eth0 down; busybox ip link set eth0 up")
    assert ready(a, router)
    [alone] = behind(dataclasses.replace(router, revision=2, interfaces=router.interfaces[:1]), one)
    cloud.plumbing.update_network(two, [dataclasses.replace(b.port, network=two)])
    cloud.plumbing.update_network(alone, [dataclasses.replace(a.port, network=alone)])
    assert not a.pings(ipv6(b)) and pings(a, "fd31::1")
    assert wait_for(lambda: ways_out(b) == set()) and ready(a, router)
    for guest in (a, b, member):
        guest.power_off()
        cloud.plumbing.unplug(guest.port)
    cloud.guests.clear()
    assert not directory.exists() and network_lab.ours() == []
    assert not Path(f"/proc/{int(process)}").exists()


@pytest.mark.parametrize("mode", ["dhcpv6-stateful", "dhcpv6-stateless", None])
def test_each_mode_of_a_subnet_has_its_way_out(cloud: Cloud, mode: str | None) -> None:
    one, two = net_of(33, mode), net_of(34)
    router = router_of(one, two)
    first, second = behind(router, one, two)
    given = None if mode == "dhcpv6-stateless" else "fd33::1234"
    a, b = boot(cloud, 10, first, address=given), boot(cloud, 11, second)
    if mode == "dhcpv6-stateful":
        assert wait_for(lambda: ways_out(a), 30)
        assert dhcpv6_client.ask(a).address == "fd33::1234"
    if given is not None:
        a.run(f"busybox ip -6 addr add {given}/64 dev eth0")
    if mode is None:
        assert ways_out(a) == set()
        a.run("busybox ip -6 route add default via fd33::1")
    else:
        assert ready(a, router)
    assert ready(b, router, 1)
    assert pings(a, ipv6(b)) and pings(b, ipv6(a))


def test_the_outside_sees_guests_by_their_own_addresses(cloud: Cloud, tmp_path: Path) -> None:
    net = net_of(35)
    external = make_network(name="external", subnet={"cidr": "2001:db8::/64", "ip_version": 6, "enable_dhcp": False,
                                                     "gateway_ip": "2001:db8::1", "dhcp_ip": None})
    router = router_of(net, gateway=router_port(external, 99, "2001:db8::20/64"))
    [routed] = behind(router, net)
    guest = boot(cloud, 10, routed)
    world = Outside(tmp_path / "world", names.bridge_name(external.id))
    try:
        assert world.run("busybox ip -6 addr add 2001:db8::1/64 dev eth0; busybox ip -6 addr add 2001:db8:1::1/128 dev "
                         "lo; busybox ip -6 route add fd35::/64 via 2001:db8::20").returncode == 0
        assert ready(guest, router) and pings(guest, "2001:db8:1::1")
        assert wait_for(lambda: world.run(f"busybox ping6 -c 1 -W 1 {ipv6(guest)}").returncode == 0, 30)
        assert names.outside_mac(router.id, "one") in world.run("busybox ip -6 neigh").stdout
        cloud.restart_agent()
        cloud.plumbing.restore([guest.server])
        assert world.run(f"busybox ping6 -c 1 -W 1 {ipv6(guest)}").returncode == 0
        # Without the gateway nothing gets in or out.
        # The doctor compares these with the records.
        seen = cloud.plumbing.inspect({})
        assert (seen["addresses"], seen["differences"]) == ({router.id: ["2001:db8::20"]}, [])
        namespaces.run_inside(cloud.directory / "state/compute/routers" / router.id / names.router_namespace_name(
            router.id), lambda: nft.apply(f"delete table inet {router_rules.TABLE}\n"))
        assert [each["what"] for each in cloud.plumbing.inspect({})["differences"]] == [
            f"its rules in table inet {router_rules.TABLE}"]
        cloud.plumbing.repair()
        assert cloud.plumbing.inspect({})["differences"] == []
        [shut] = behind(dataclasses.replace(router, revision=2, gateway=None), net)
        cloud.plumbing.update_network(shut, [dataclasses.replace(guest.port, network=shut)])
        assert world.run(f"busybox ping6 -c 1 -W 1 {ipv6(guest)}").returncode != 0
    finally:
        world.close()


def test_one_host_leads_outside_and_another_takes_over(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path) -> None:
    first, second = hosts
    world = Segment(tmp_path / "world", hosts)
    net = net_of(41, network_type="vxlan", segmentation_id=54)
    external = make_network(name="external", physical_network="physnet1", subnet={
        "cidr": "2001:db8::/64", "ip_version": 6, "enable_dhcp": False, "gateway_ip": "2001:db8::1", "dhcp_ip": None})
    gateway = router_port(external, 99, "2001:db8::20/64")
    router = router_of(net, gateway=gateway)

    def led_by(host: HostOfTwo, revision: int) -> NetworkSpec:
        return behind(dataclasses.replace(router, revision=revision, elected={
            "host": host.tunnel_ip, "tunnel_ip": host.tunnel_ip}), net)[0]

    try:
        world.run("busybox ip -6 addr add 2001:db8::1/64 dev eth0; busybox ip -6 addr add 2001:db8:1::1/128 dev lo; "
                  "busybox ip -6 route add fd41::/64 via 2001:db8::20")
        a = first.on(lambda: boot(first.cloud, 10, led_by(first, 2)))
        b = second.on(lambda: boot(second.cloud, 11, led_by(first, 2)))
        for host in hosts:
            host.tell(net, *(f"{guest.port.mac_address} {ipv6(guest)} {at.tunnel_ip}"
                             for guest, at in ((a, first), (b, second))))
        assert ready(a, router) and ready(b, router)
        assert pings(b, "2001:db8:1::1") and pings(a, "2001:db8:1::1")
        assert wait_for(lambda: world.run(f"busybox ping6 -c 1 -W 1 {ipv6(b)}").returncode == 0, 30)
        assert gateway.mac_address in world.run("busybox ip -6 neigh").stdout
        for host in (second, first):
            other = led_by(second, 3)
            guest = a if host is first else b
            host.on(lambda host=host, other=other, guest=guest: host.cloud.plumbing.update_network(
                other, [dataclasses.replace(guest.port, network=other)]))
        assert pings(b, "2001:db8:1::1") and pings(a, "2001:db8:1::1")
        assert wait_for(lambda: world.run(f"busybox ping6 -c 1 -W 1 {ipv6(a)}").returncode == 0, 5)
    finally:
        world.close()


def test_the_outside_finds_another_host_at_once(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    first, second = hosts
    world = Segment(tmp_path / "world", hosts)
    net = net_of(43, network_type="vxlan", segmentation_id=55)
    external = make_network(name="external", physical_network="physnet1", subnet={
        "cidr": "2001:db8::/64", "ip_version": 6, "enable_dhcp": False, "gateway_ip": "2001:db8::1", "dhcp_ip": None})
    router = router_of(net, gateway=router_port(external, 99, "2001:db8::20/64"))
    revisions = itertools.count(2)

    def led_by(host: HostOfTwo | None) -> NetworkSpec:
        elected = None if host is None else {"host": host.tunnel_ip, "tunnel_ip": host.tunnel_ip}
        return behind(dataclasses.replace(router, revision=next(revisions), elected=elected), net)[0]

    def tell(led: NetworkSpec, *order: HostOfTwo) -> None:
        for host in order:
            ports = [dataclasses.replace(guest.port, network=led) for guest in host.cloud.guests]
            host.on(lambda host=host, ports=ports: host.cloud.plumbing.update_network(led, ports))

    def leave() -> None:
        gone = first.cloud.guests.pop()
        gone.power_off()
        first.on(lambda: first.cloud.plumbing.unplug(gone.port))

    def used() -> HostOfTwo:
        """Return the host at whose MAC the outside has the gateway."""
        known = world.run("busybox ip -6 neigh | busybox grep 2001:db8::20").stdout
        return next(host for host in hosts if names.outside_mac(router.id, host.tunnel_ip) in known)

    try:
        world.run("busybox ip -6 addr add 2001:db8::1/64 dev eth0; busybox ip -6 route add fd43::/64 via 2001:db8::20")
        each = led_by(None)
        b = second.on(lambda: boot(second.cloud, 11, each))
        a = first.on(lambda: boot(first.cloud, 10, each))
        for host in hosts:
            host.tell(net, *(f"{guest.port.mac_address} {ipv6(guest)} {at.tunnel_ip}"
                             for guest, at in ((a, first), (b, second))))
        assert ready(a, router) and ready(b, router)
        assert wait_for(lambda: world.run(f"busybox ping6 -c 1 -W 1 {ipv6(b)}").returncode == 0, 30)
        changes: list[tuple[str, Callable[[], None]]] = [
            ("each host → first", lambda: tell(led_by(first), first, second)),
            ("first → second", lambda: tell(led_by(second), second, first)),
            ("second → each host", lambda: tell(led_by(None), second, first)),
            ("the last guest leaves the host in use", leave)]
        for name, change in changes:
            if change is leave:
                # Which host the neighbours use is left to chance.
                first.on(lambda: first.cloud.plumbing.activate(first.cloud.guests[0].port))
                assert wait_for(lambda: used() is first)
            with world.pinging(ipv6(b)) as missed:
                change()
                assert wait_for(lambda: world.run(f"busybox ping6 -c 1 -W 1 {ipv6(b)}").returncode == 0, 60)
            with capsys.disabled():
                print(f"\n{name}: {missed()} IPv6 pings missed, one each 0.2 s")
            assert missed() < 10, name
        assert used() is second
    finally:
        world.close()


@pytest.mark.parametrize("kind", ["vxlan", "flat"])
def test_guests_on_two_hosts_reach_each_other(hosts: tuple[HostOfTwo, HostOfTwo], kind: str) -> None:
    first, second = hosts
    places: dict[str, Any] = {"physical_network": "physnet1"} if kind == "flat" else {
        "network_type": "vxlan", "segmentation_id": 42}
    one, two = net_of(36, network_type="vxlan", segmentation_id=41), net_of(37, **places)
    router = router_of(one, two)
    own, shared = behind(router, one, two)
    a = first.on(lambda: boot(first.cloud, 10, own))
    b, c = second.on(lambda: (boot(second.cloud, 11, shared), boot(second.cloud, 12, shared, OUT, FROM_MEMBERS)))
    members = [f"{guest.port.mac_address} {ipv6(guest)}" for guest in (b, c)]
    for host in hosts:
        host.tell(shared, *(f"{member} {second.tunnel_ip}" for member in members))
        host.tell(own, f"{a.port.mac_address} {ipv6(a)} {first.tunnel_ip}")
    assert ready(a, router) and ready(b, router, 1) and ready(c, router, 1)
    # The first host has nobody on the network of the others: it asks who they are, and is answered.
    assert pings(a, ipv6(b))
    assert not a.pings(ipv6(c))
    for host in hosts:
        host.on(lambda host=host: host.cloud.plumbing.update_groups({
            GROUP: [f"{a.port.mac_address} {ipv6(a)}/128"]}))
    assert pings(a, ipv6(c))
    # Their own router answers them, on their own host.
    assert router.interfaces[1].mac_address in b.run("busybox ip -6 neigh").stdout
    assert names.WIRE_MAC_PREFIX not in b.run("busybox ip -6 neigh | busybox grep fd37::1").stdout


def test_an_agent_killed_anywhere_interrupts_nobody_and_leaves_nothing(cloud: Cloud) -> None:
    one, two, three = net_of(38), net_of(39), net_of(40)
    router = router_of(one, two)
    first, second = behind(router, one, two)
    known, other = boot(cloud, 10, first), boot(cloud, 11, second)
    lonely_net = behind(router_of(three), three)[0]
    lonely, lonely_port = make_server(12, lonely_net, (ALLOW_OUT,), **addressed(12, lonely_net, None))
    assert ready(known, router) and ready(other, router, 1) and pings(known, ipv6(other))
    actions = {"a router's first guest": (lambda plumbing: plumbing.plug(lonely, lonely_port), [], [lonely]),
               "a router's last guest": (lambda plumbing: plumbing.unplug(lonely_port), [lonely], [])}
    points = 0
    for name, (action, before, after) in actions.items():
        for step in itertools.count(len(name) % _STRIDE, _STRIDE):
            cloud.restart_agent()
            cloud.plumbing.restore([known.server, other.server, *before])
            cloud.plumbing.close()
            died = crash_at(cloud, action, step)
            assert known.run(f"busybox ping6 -c 1 -W 2 {ipv6(other)}").returncode == 0, (name, step)
            cloud.plumbing = plumbing_package.build(cloud.conf)
            cloud.plumbing.restore([known.server, other.server, *after])
            routers = {router.id, *([lonely_net.routers[0].id] if after else [])}
            root = cloud.directory / "state/compute/routers"
            assert {path.name for path in root.iterdir()} == routers, (name, step)
            assert _advertising(root) == routers, (name, step)
            if not died:
                break
            points += 1
    assert points >= 4 and ways_out(known) and pings(known, ipv6(other))


def _advertising(root: Path) -> set[str]:
    """Return the routers that a process advertises."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            for argument in path.read_text().split("\0"):
                file = Path(argument.partition("=")[2])
                if argument.startswith("--conf-file=") and file.parent.parent == root:
                    found.add(file.parent.name)
    return found
