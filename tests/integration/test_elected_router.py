"""A router with an elected host, on two hosts: who leads outside, and what pings miss when that changes."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from compute.network import names, namespaces, nft, router_links, router_rules
from compute.network.router_rules import HostRouter
from hostler import ids
from hostler.resources.server.specs import RouterPortSpec, RouterSpec
from tests.harness import network_lab
from tests.harness.elected_router import FLOATING, FORWARDED, OWN, Scene, external_network, pinging, scene
from tests.harness.network_fixtures import host_namespace, hosts
from tests.harness.network_lab import make_network, wait_for
from tests.harness.two_hosts import HostOfTwo, Segment, place

__all__ = ["host_namespace", "hosts", "scene"]
pytestmark = network_lab.NEEDS


def test_one_host_leads_outside_for_the_guests_of_both(scene: Scene) -> None:
    first, second = scene.hosts
    scene.tell(scene.elected(first), first, second)
    for guest in scene.guests:
        assert wait_for(lambda guest=guest: guest.pings("203.0.113.1"), 30)
    assert scene.world.pings(FLOATING)
    macs = scene.world.run("busybox ip neigh").stdout
    assert "fa:16:3e:01:00:99" in macs
    scene.guests[2].listen(22)
    assert wait_for(lambda: scene.world.answer(FORWARDED, 2222) == "10.51.0.12", 30)
    assert scene.guests[0].pings(FLOATING) and scene.guests[2].pings(FLOATING)
    # What the doctor compares agrees, and a restarted agent leaves it so.
    for host in scene.hosts:
        assert host.on(lambda host=host: host.cloud.plumbing.inspect({}))["differences"] == []
    second.on(second.cloud.restart_agent)
    second.on(lambda: second.cloud.plumbing.restore([guest.server for guest in second.cloud.guests]))


def test_what_pings_miss_when_it_moves(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = scene.hosts
    assert scene.world.pings(FLOATING) and scene.guests[2].pings("203.0.113.1")
    scene.guests[1].listen(80)
    talk = namespaces.run_inside(scene.world.path, lambda: network_lab.dial(FLOATING, 80))
    assert talk is not None
    steps: list[tuple[str, Callable[[], None]]] = [
        ("each host → first", lambda: scene.tell(scene.elected(first), first, second)),
        ("first → second", lambda: scene.tell(scene.elected(second), second, first)),
        ("second → first", lambda: scene.tell(scene.elected(first), first, second)),
        ("first → each host", lambda: scene.tell(scene.flat(), second, first))]
    for name, step in steps:
        with scene.world.pinging(FLOATING) as missed, pinging(scene.guests[2], "203.0.113.1") as missed_inside:
            step()
            assert scene.world.pings(FLOATING) and wait_for(lambda: scene.guests[2].pings("203.0.113.1"), 30)
        lost = missed(), missed_inside()
        with capsys.disabled():
            print(f"\n{name}: {lost[0]} pings of a floating IP and {lost[1]} of a guest missed, one each 0.2 s")
        assert max(lost) < 10, (name, lost)
        assert echoes(talk), f"{name}: the connection by the floating IP did not survive"
    talk.close()


def test_another_host_takes_over(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = scene.hosts
    scene.tell(scene.elected(first), first, second)
    assert scene.world.pings(FLOATING) and wait_for(lambda: scene.guests[2].pings("203.0.113.1"), 30)
    cut_off(first)
    assert not scene.guests[2].pings("203.0.113.1")
    began = time.monotonic()
    second.on(lambda: scene.tell(scene.elected(second), second))
    assert wait_for(lambda: scene.guests[2].pings("203.0.113.1"), 30)
    inside_s = time.monotonic() - began
    assert scene.world.pings(FLOATING)
    with capsys.disabled():
        print(f"\ntaken over: guests reach the outside after {inside_s:.2f} s, the outside a floating IP after "
              f"{time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 5


def test_the_second_host_watches_the_elected_one(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = scene.hosts
    scene.tell(scene.elected(first), first, second)
    told: list[str] = []
    watch = second.cloud.plumbing.leaders
    watch.on_silence = told.append
    assert wait_for(lambda: watch.seen() == {first.tunnel_ip: True}, 10)
    assert first.cloud.plumbing.leaders.seen() == {}
    # Its kernel answers, not its agent.
    first.cloud.plumbing.close()
    assert not wait_for(lambda: watch.seen() != {first.tunnel_ip: True}, 3)
    first.on(lambda: set_link("wire0", "down"))
    began = time.monotonic()
    assert wait_for(lambda: told == [first.tunnel_ip], 10)
    with capsys.disabled():
        print(f"\nsilence was noticed after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 2.5
    first.on(lambda: set_link("wire0", "up"))
    assert wait_for(lambda: watch.seen() == {first.tunnel_ip: True}, 10)
    second.on(lambda: scene.tell(scene.elected(second), second))
    assert watch.seen() == {}


def set_link(name: str, state: str) -> None:
    with IPRoute() as ipr:
        ipr.link("set", index=ipr.link_lookup(ifname=name)[0], state=state)


def test_a_connection_survives_what_comes_between_rules_and_routes(scene: Scene) -> None:
    first, second = scene.hosts
    scene.tell(scene.elected(first), first, second)
    assert scene.world.pings(FLOATING)
    scene.guests[1].listen(80)
    talk = namespaces.run_inside(scene.world.path, lambda: network_lab.dial(FLOATING, 80))
    assert talk is not None and echoes(talk)
    router = scene.elected(second)
    rules = router_rules.render(HostRouter(router, second.tunnel_ip, router.floating))
    [namespace] = (second.cloud.directory / "state" / "compute" / "routers" / router.id).glob("hostler-router-*")
    namespaces.run_inside(namespace, lambda: nft.apply(rules))
    # The answer meets the rules of a host that leads outside, and still the route to the other one.
    talk.sendall(b"first\n")
    talk.settimeout(1)
    with contextlib.suppress(TimeoutError):
        talk.recv(100)
    scene.tell(router, second, first)
    assert wait_for(lambda: b"second" in said(talk, b"second\n"), 30)
    talk.close()


def said(talk: socket.socket, word: bytes) -> bytes:
    """Send a word, and return what comes within two seconds."""
    talk.settimeout(2)
    with contextlib.suppress(TimeoutError):
        talk.sendall(word)
        return talk.recv(1000)
    return b""


def test_a_host_that_boots_leads_outside_only_once_that_is_confirmed(scene: Scene) -> None:
    first, second = scene.hosts
    scene.tell(scene.elected(first), first, second)
    path = first.cloud.directory / "state" / "compute" / "routers" / scene.router.id

    def leads() -> bool:
        [namespace] = path.glob("hostler-router-*")
        return OWN in subprocess.run(["nsenter", f"--net={namespace}", "ip", "address"], capture_output=True, text=True,
                                     check=True).stdout

    def restart(*, booted: bool) -> None:
        if booted:
            [namespace] = path.glob("hostler-router-*")
            first.on(lambda: router_links.remove(namespace))
        first.on(first.cloud.restart_agent)
        net = dataclasses.replace(scene.net, routers=(scene.router,))
        servers = [dataclasses.replace(guest.server, ports=(dataclasses.replace(guest.port, network=net),))
                   for guest in first.cloud.guests]
        first.on(lambda: first.cloud.plumbing.restore(servers))

    assert leads()
    restart(booted=False)
    assert leads()
    for told in (False, True):
        restart(booted=True)
        assert not leads() and scene.guests[0].pings(scene.guests[2].address)
        if told:
            scene.tell(scene.elected(first), first, second)
        else:
            first.on(first.cloud.plumbing.confirm)
        assert leads()
    assert scene.world.pings(FLOATING)


def test_guests_of_networks_that_the_elected_host_has_no_guest_of(hosts: tuple[HostOfTwo, HostOfTwo],
                                                                 tmp_path: Path) -> None:
    first, second = hosts
    world = Segment(tmp_path / "world", hosts)
    external = external_network()
    nets = [make_network(network_type="vxlan", segmentation_id=number, subnet={
        "cidr": f"10.{number}.0.0/24", "gateway_ip": f"10.{number}.0.1", "dhcp_ip": f"10.{number}.0.2"})
        for number in (52, 53)]
    router = RouterSpec(
        id=ids.new_id(), revision=1, elected={"host": first.tunnel_ip, "tunnel_ip": first.tunnel_ip},
        outside={first.tunnel_ip: {"mac": "fa:16:3e:01:00:99", "address": f"{OWN}/24"}},
        gateway=RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:99", network=external),
        interfaces=tuple(RouterPortSpec(id=ids.new_id(), mac_address=f"fa:16:3e:01:00:0{number}", network=net,
                                        addresses=(f"{net.subnets[0].gateway_ip}/24",))
                         for number, net in enumerate(nets)))
    try:
        guests = []
        for number, (host, net) in enumerate(zip(hosts, nets, strict=True)):
            guest = host.boot(10 + number, dataclasses.replace(net, routers=(router,)))
            guest.run(f"busybox ip route add default via {net.subnets[0].gateway_ip}")
            guests.append(guest)
        for host in hosts:
            for guest, net, at in zip(guests, nets, hosts, strict=True):
                host.tell(net, place(guest, at))
        assert wait_for(lambda: guests[1].pings("203.0.113.1"), 30) and guests[0].pings("203.0.113.1")
        assert guests[1].pings(guests[0].address)
        # The last guest takes all of it along.
        for guest, host in zip(guests, hosts, strict=True):
            host.on(guest.power_off)
            host.cloud.guests.remove(guest)
            host.on(lambda host=host, guest=guest: host.cloud.plumbing.unplug(guest.port))
            assert not [name for name in host.links() if name.startswith(("hvx", "hbr", "hvh", "hrh"))]
    finally:
        world.close()


def cut_off(host: HostOfTwo) -> None:
    """Take a host's routers and tunnels from the wires, as its end would."""
    def work() -> None:
        with IPRoute() as ipr:
            for link in ipr.get_links():
                if str(link.get_attr("IFLA_IFNAME")).startswith((names.ROUTER_HOST_PREFIX, names.VXLAN_PREFIX)):
                    ipr.link("set", index=link["index"], state="down")
    host.on(work)


def echoes(talk: socket.socket) -> bool:
    """Return whether the other end of a connection still answers."""
    talk.settimeout(20)
    try:
        talk.sendall(b"there?\n")
        return talk.recv(100) == b"there?\n"
    except OSError:
        return False
