"""The agent's routers on a real kernel: guests of two subnets, floating IPs, and what leaves from where.

As in `test_network_plumbing`, the test process is the 'host', and guests are namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from compute import network as plumbing_package
from compute.network import names, namespaces
from hostler import ids
from hostler.resources.server.specs import FloatingIpSpec, ForwardingSpec, NetworkSpec, RouterPortSpec, RouterSpec
from tests.harness import network_lab
from tests.harness.dying_agent import crash_at
from tests.harness.network_fixtures import cloud, host_namespace
from tests.harness.network_lab import ALLOW_OUT, ALLOW_PING, Cloud, Guest, dial, make_network, wait_for
from tests.harness.outside import Outside
from tests.harness.two_hosts import ALLOW_TCP

__all__ = ["cloud", "host_namespace"]

pytestmark = network_lab.NEEDS
_STRIDE = 20


def net_of(number: int) -> NetworkSpec:
    return make_network(name=f"net{number}", subnet={
        "cidr": f"10.{number}.0.0/24", "gateway_ip": f"10.{number}.0.1", "dhcp_ip": f"10.{number}.0.2"})


def router_port(net: NetworkSpec, number: int, *addresses: str) -> RouterPortSpec:
    return RouterPortSpec(id=ids.new_id(), mac_address=f"fa:16:3e:01:00:{number:02x}",
                          network=dataclasses.replace(net, routers=()), addresses=addresses)


def router_of(*nets: NetworkSpec, **values: Any) -> RouterSpec:
    ports = tuple(router_port(net, number, f"{net.subnets[0].gateway_ip}/24") for number, net in enumerate(nets))
    return RouterSpec(**{"id": ids.new_id(), "revision": 1, "interfaces": ports, **values})


def behind(router: RouterSpec, *nets: NetworkSpec) -> list[NetworkSpec]:
    return [dataclasses.replace(net, routers=(router,)) for net in nets]


def boot(cloud: Cloud, number: int, net: NetworkSpec, **values: Any) -> Guest:
    """Start a guest that has its address and route as DHCP would give them."""
    guest = cloud.boot(number, net, *values.pop("rules", (ALLOW_OUT, ALLOW_PING)), **values)
    subnet = net.subnets[0]
    done = guest.run(f"busybox ip addr add {guest.address}/24 dev eth0; "
                     f"busybox ip route add default via {subnet.gateway_ip}")
    assert done.returncode == 0, done.stderr
    return guest


def pings(guest: Guest, address: str) -> bool:
    return wait_for(lambda: guest.pings(address), 30)


def routers_left(cloud: Cloud) -> list[str]:
    links = [name for name in network_lab.link_names() if name.startswith("hrh")]
    root = cloud.directory / "state" / "compute" / "routers"
    return links + ([path.name for path in root.iterdir()] if root.exists() else [])


@pytest.fixture
def external() -> NetworkSpec:
    return make_network(name="external", subnet={"cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1",
                                                 "dhcp_ip": None, "enable_dhcp": False})


def test_two_subnets_reach_each_other_as_long_as_guests_are_there(cloud: Cloud) -> None:
    one, two = net_of(31), net_of(32)
    first, second = behind(router_of(one, two), one, two)
    a = boot(cloud, 10, first)
    assert not a.pings("10.32.0.11")
    b = boot(cloud, 11, second)
    assert pings(a, b.address) and pings(b, a.address)
    assert a.pings("10.31.0.1")
    cloud.restart_agent()
    cloud.plumbing.restore([a.server, b.server])
    assert a.pings(b.address)
    for guest in (a, b):
        guest.power_off()
        cloud.plumbing.unplug(guest.port)
    cloud.guests.clear()
    assert routers_left(cloud) == [] and network_lab.ours() == []


def test_a_subnet_that_leaves_is_reached_no_more(cloud: Cloud) -> None:
    one, two = net_of(33), net_of(34)
    router = router_of(one, two)
    first, second = behind(router, one, two)
    a, b = boot(cloud, 10, first), boot(cloud, 11, second)
    assert pings(a, b.address)
    [alone] = behind(dataclasses.replace(router, revision=2, interfaces=router.interfaces[:1]), one)
    cloud.plumbing.update_network(two, [dataclasses.replace(b.port, network=two)])
    cloud.plumbing.update_network(alone, [dataclasses.replace(a.port, network=alone)])
    assert not a.pings(b.address) and a.pings("10.33.0.1")


def test_a_router_that_somebody_removed_comes_back_and_strays_go(cloud: Cloud) -> None:
    one, two = net_of(44), net_of(45)
    router = router_of(one, two)
    first, second = behind(router, one, two)
    a, b = boot(cloud, 10, first), boot(cloud, 11, second)
    assert pings(a, b.address)
    link = names.router_host_name(router.interfaces[0].id)

    def remove(name: str) -> None:
        with IPRoute() as ipr:
            ipr.link("del", index=ipr.link_lookup(ifname=name)[0])

    remove(link)
    assert pings(a, b.address)
    namespaces.remove(cloud.directory / "state/compute/routers" / router.id / names.router_namespace_name(router.id))
    assert pings(a, b.address)
    with IPRoute() as ipr:
        ipr.link("add", ifname=f"{names.ROUTER_HOST_PREFIX}00000000000", kind="veth", peer={"ifname": "stray1"})
    cloud.restart_agent()
    cloud.plumbing.restore([a.server, b.server])
    assert "stray1" not in network_lab.link_names() and link in network_lab.link_names() and a.pings(b.address)


def test_floating_ips_in_and_own_address_out(cloud: Cloud, external: NetworkSpec, tmp_path: Path) -> None:
    net = net_of(35)
    router = router_of(net, gateway=router_port(external, 99), outside={
        "one": {"mac": "fa:16:3e:01:00:aa", "address": "203.0.113.20/24"}})
    [routed] = behind(router, net)
    plain = boot(cloud, 10, routed)
    known = boot(cloud, 11, routed, floating_ips=(FloatingIpSpec(
        address="203.0.113.30", fixed_ip_address="10.35.0.11", router_id=router.id),))
    world = Outside(tmp_path / "world", names.bridge_name(external.id))
    try:
        assert world.pings("203.0.113.30") and pings(plain, "203.0.113.1") and pings(known, "203.0.113.1")
        assert plain.pings("203.0.113.30")
        assert _seen_by(world, plain) == "203.0.113.20" and _seen_by(world, known) == "203.0.113.30"
        # Nobody out there reaches a guest by its own address, though the way is known.
        world.run("busybox ip route add 10.35.0.0/24 via 203.0.113.20")
        assert world.run("busybox ping -c 1 -W 1 10.35.0.10").returncode != 0
        # The agent may die and come back; what the address leads to may change.
        cloud.restart_agent()
        cloud.plumbing.restore([plain.server, known.server])
        assert world.pings("203.0.113.30")
        cloud.plumbing.apply_rules([dataclasses.replace(known.port, floating_ips=())])
        assert world.run("busybox ping -c 1 -W 1 203.0.113.30").returncode != 0
        assert _seen_by(world, known) == "203.0.113.20"
    finally:
        world.close()


def forwarding(external: tuple[int, int], guest: str, internal: tuple[int, int], protocol: str = "tcp",
               ) -> ForwardingSpec:
    return ForwardingSpec(address="203.0.113.40", entry="one", host="one", protocol=protocol, external=external,
                          fixed_ip_address=guest, internal=internal)


def test_ports_of_one_address_lead_to_several_guests(cloud: Cloud, external: NetworkSpec, tmp_path: Path) -> None:
    net = net_of(43)
    forwardings = (forwarding((2201, 2201), "10.43.0.10", (22, 22)), forwarding((2300, 2302), "10.43.0.11", (80, 82)),
                   forwarding((2400, 2402), "10.43.0.11", (443, 443)), forwarding((90, 92), "10.43.0.10", (90, 92)))
    router = router_of(net, gateway=router_port(external, 99), forwardings=forwardings, outside={
        "one": {"mac": "fa:16:3e:01:00:aa", "address": "203.0.113.20/24"}})
    [routed] = behind(router, net)
    first, second = (boot(cloud, number, routed, rules=(ALLOW_OUT, ALLOW_TCP)) for number in (10, 11))
    for guest, port in ((first, 22), (first, 91), (second, 81), (second, 443)):
        guest.listen(port)
    world = Outside(tmp_path / "world", names.bridge_name(external.id))
    try:
        for port, guest in ((2201, first), (2301, second), (2400, second), (2402, second), (91, first)):
            assert wait_for(lambda port=port, guest=guest: world.answer("203.0.113.40", port) == guest.address,
                            30), port
        assert world.answer("203.0.113.40", 22) == ""
        # Guests reach it, too, and leave from the host's address, not from this one.
        assert second.reaches("203.0.113.40", 2201)
        assert _seen_by(world, first) == "203.0.113.20"
        connection = namespaces.run_inside(world.path, lambda: dial("203.0.113.40", 2201))
        assert connection is not None
        with connection:
            [fewer] = behind(dataclasses.replace(router, revision=2, forwardings=forwardings[1:]), net)
            cloud.plumbing.update_network(fewer, [dataclasses.replace(guest.port, network=fewer)
                                                  for guest in (first, second)])
            connection.sendall(b"still there\n")
            with pytest.raises(TimeoutError):
                connection.recv(100)
        assert world.answer("203.0.113.40", 2201) == "" and world.answer("203.0.113.40", 91) == first.address
    finally:
        world.close()


def test_an_agent_killed_anywhere_interrupts_nobody_and_leaves_nothing(cloud: Cloud, external: NetworkSpec,
                                                                       tmp_path: Path) -> None:
    one, two, three = net_of(38), net_of(39), net_of(40)
    router = router_of(one, two, gateway=router_port(external, 99))
    first, second = behind(router, one, two)
    known = boot(cloud, 10, first, floating_ips=(FloatingIpSpec(
        address="203.0.113.30", fixed_ip_address="10.38.0.10", router_id=router.id),))
    beside, beside_port = network_lab.make_server(11, second, (ALLOW_OUT,))
    lonely, lonely_port = network_lab.make_server(12, behind(router_of(three), three)[0], (ALLOW_OUT,))
    world = Outside(tmp_path / "world", names.bridge_name(external.id))
    assert world.pings("203.0.113.30")
    actions = {
        "a guest on a held network": (lambda plumbing: plumbing.plug(beside, beside_port), [], [beside]),
        "its last guest there": (lambda plumbing: plumbing.unplug(beside_port), [beside], []),
        "a router's first guest": (lambda plumbing: plumbing.plug(lonely, lonely_port), [], [lonely]),
        "a router's last guest": (lambda plumbing: plumbing.unplug(lonely_port), [lonely], [])}
    points = 0
    with contextlib.closing(world), world.pinging("203.0.113.30") as lost:
        for name, (action, before, after) in actions.items():
            # Every twentieth of the outside actions, from another one for each verb.
            for step in itertools.count(len(name) % _STRIDE, _STRIDE):
                cloud.restart_agent()
                cloud.plumbing.restore([known.server, *before])
                cloud.plumbing.close()
                died = crash_at(cloud, action, step)
                cloud.plumbing = plumbing_package.build(cloud.conf)
                cloud.plumbing.restore([known.server, *after])
                routers = {router.id, *([lonely.ports[0].network.routers[0].id] if after == [lonely] else [])}
                assert {path.name for path in (cloud.directory / "state/compute/routers").iterdir()} == routers, name
                links = [each for each in network_lab.link_names() if each.startswith("hrh")]
                assert len(links) == 3 + (after == [lonely]), (name, step)
                assert len(network_lab.ours()) == 2 * (3 + (after == [lonely])), (name, step)
                if not died:
                    break
                points += 1
    assert points >= 4 and lost() == 0


def _seen_by(world: Outside, guest: Guest) -> str:
    """Return the address that a connection of the guest's to the outside machine comes from."""
    with namespaces.run_inside(world.path, lambda: socket.create_server(("203.0.113.1", 7))) as listener:
        listener.settimeout(30)
        with namespaces.run_inside(guest.path, lambda: socket.create_connection(("203.0.113.1", 7), timeout=30)):
            connection, address = listener.accept()
            connection.close()
    return str(address[0])


def test_guests_on_other_hosts_are_reached_from_a_mac_that_is_the_hosts_own(tmp_path: Path) -> None:
    far = tmp_path / "far"
    namespaces.create(far)
    with far.open("rb") as handle, IPRoute() as ipr:
        ipr.link("add", ifname="up0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": handle.fileno(),
                                                         "address": "fa:16:3e:00:00:99"})
    one, two = net_of(36), dataclasses.replace(net_of(37), physical_network="physnet1")
    router = router_of(one, two)
    wire = names.wire_mac(router.interfaces[1].id, "one")
    cloud = Cloud(tmp_path, host="one", network__bridge_mappings={"physnet1": "up0"})
    try:
        guest = boot(cloud, 10, behind(router, one)[0])
        # There, its own router's MAC would stand for the gateway.
        done = subprocess.run(
            ["nsenter", f"--net={far}", "sh", "-c", "busybox ip link set lo up; busybox ip link set eth0 up;"
             "busybox ip addr add 10.37.0.50/24 dev eth0; busybox ip route add default via 10.37.0.1;"
             f"busybox arp -s 10.37.0.1 {wire}"], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        ear = namespaces.run_inside(far, _ear)
        with ear:
            assert pings(guest, "10.37.0.50")
            senders = {frame[6:12].hex(":") for frame in network_lab.hear_all(ear)}
        assert wire in senders and router.interfaces[1].mac_address not in senders
    finally:
        cloud.tear_down()
        with IPRoute() as ipr:
            for index in ipr.link_lookup(ifname="up0"):
                ipr.link("del", index=index)
        namespaces.remove(far)


def _ear() -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind(("eth0", 3))
    raw.settimeout(1)
    return raw
