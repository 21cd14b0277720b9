"""Who gives a network's services, on two hosts: each for its own guests, the elected host of a router, or nobody."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from compute.network import links, namespaces, vlans
from hostler.resources.network import kinds
from tests.harness import network_lab
from tests.harness.elected_router import FLOATING, Scene, pinging
from tests.harness.network_fixtures import host_namespace, hosts
from tests.harness.network_lab import Guest, make_network, wait_for
from tests.harness.two_hosts import HostOfTwo, place

__all__ = ["host_namespace", "hosts"]
pytestmark = network_lab.NEEDS
OWN, ROUTER, METADATA = "10.51.0.2", "10.51.0.1", "http://169.254.169.254/openstack"
FLAT: dict[str, str] = {}
ROUTED = {"DHCP": "VirtualRouter", "DNS": "VirtualRouter"}


@contextlib.contextmanager
def elected(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path, **network: Any) -> Iterator[Scene]:
    made = Scene(hosts, tmp_path, **network)
    # The machine outside is the DNS server that the subnet names.
    server = subprocess.Popen(["nsenter", f"--net={made.world.path}", "dnsmasq", "--keep-in-foreground", "--no-resolv",
                               "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--user=root",
                               "--address=/example.test/198.51.100.7"])
    try:
        made.tell(made.elected(hosts[0]), *hosts)
        yield made
    finally:
        server.kill()
        server.wait()
        made.world.close()


@pytest.fixture
def scene(hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path) -> Iterator[Scene]:
    with elected(hosts, tmp_path) as made:
        yield made


def served_by(guest: Guest) -> str | None:
    """Return which server offers the guest its address, with the DNS server that it names."""
    lease = guest.dhcp()
    assert lease.get("ip", guest.address) == guest.address
    return f"{lease['serverid']} {lease.get('dns', '-')}" if lease else None


def rebinds(guest: Guest) -> bool:
    """Return whether a lease is prolonged by the present server (RFC 2131, 4.3.2: REBINDING)."""
    def ask() -> bool:
        xid, hardware = os.urandom(4), bytes.fromhex(guest.port.mac_address.replace(":", ""))
        message = (struct.pack("!BBBB4sHH4s12s", 1, 1, 6, 0, xid, 0, 0, socket.inet_aton(guest.address), b"")
                   + hardware.ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63" + b"\x35\x01\x03\xff")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
            asking.bind(("", 68))
            asking.settimeout(2)
            asking.sendto(message, ("255.255.255.255", 67))
            try:
                answer = asking.recv(1500)
            except TimeoutError:
                return False
        return (answer[4:8], answer[16:20], b"\x35\x01\x05" in answer[240:]) == (
            xid, socket.inet_aton(guest.address), True)
    return wait_for(lambda: namespaces.run_inside(guest.path, ask), 10)


def hears(device: str) -> socket.socket:
    """Return a socket that hears every frame at a device."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind((device, 3))
    raw.settimeout(0.4)
    return raw


def resolves(guest: Guest, name: str = "example.test", address: str = "198.51.100.7") -> bool:
    return address in guest.run(f"busybox nslookup {name} {ROUTER}").stdout


def processes(host: HostOfTwo) -> dict[str, int]:
    """Return how many DHCP servers of networks and of routers run on a host."""
    state = host.cloud.directory / "state" / "compute"
    lines = [Path(f"/proc/{pid.read_text().strip()}/cmdline") for of in ("networks", "router-servers")
             for pid in (state / of).glob("*/dnsmasq.pid")]
    running = [path.read_text() for path in lines if path.exists()]
    return {of: sum(f"/{of}/" in line for line in running) for of in ("networks", "router-servers")}


def test_an_elected_router_serves_the_guests_of_both_hosts(scene: Scene) -> None:
    first, second = scene.hosts
    assert [served_by(guest) for guest in scene.guests] == [f"{OWN} 203.0.113.1"] * 3
    scene.tell(scene.provide(**ROUTED), first, second)
    assert [served_by(guest) for guest in scene.guests] == [f"{ROUTER} {ROUTER}"] * 3
    assert (processes(first), processes(second)) == ({"networks": 0, "router-servers": 1},
                                                     {"networks": 0, "router-servers": 0})
    assert all(wait_for(lambda guest=guest: resolves(guest)) for guest in scene.guests)
    # Metadata is each host's.
    assert {guest.fetch(METADATA)[0] for guest in scene.guests} == {200}
    for host in scene.hosts:
        assert host.on(lambda host=host: host.cloud.plumbing.inspect({}))["differences"] == []
    # The election of another host takes them along, and a restarted agent keeps them.
    scene.tell(scene.elected(second), second, first)
    assert (processes(first)["router-servers"], processes(second)["router-servers"]) == (0, 1)
    second.on(second.cloud.restart_agent)
    second.on(lambda: second.cloud.plumbing.restore([guest.server for guest in second.cloud.guests]))
    scene.tell(scene.router, second, first)
    assert [served_by(guest) for guest in scene.guests] == [f"{ROUTER} {ROUTER}"] * 3
    assert all(resolves(guest) for guest in scene.guests)


def _without_tags(ipr: Any, name: str, _tag: int, parent: Any) -> Any:
    """Make a VLAN's interface without its tag, for kernels that have no 802.1Q."""
    if not ipr.link_lookup(ifname=name):
        ipr.link("add", ifname=name, kind="macvlan", macvlan_mode="passthru", link=parent["index"])
    return ipr.get_links(ipr.link_lookup(ifname=name)[0])[0]


def _without_tag(frame: bytes) -> bytes:
    return frame[:12] + frame[16:] if frame[12:14] == b"\x81\x00" else frame


@pytest.mark.parametrize("kind", [kinds.FLAT, kinds.VLAN])
def test_guests_of_a_physical_network_are_served_over_the_wire(
        hosts: tuple[HostOfTwo, HostOfTwo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    first, second = hosts
    if kind == kinds.VLAN and kind not in links.kinds():
        monkeypatch.setattr(vlans, "probe", lambda _ipr: None)
        monkeypatch.setattr(vlans, "make_device", _without_tags)
    segment = {} if kind == kinds.FLAT else {"segmentation_id": 105}
    with elected(hosts, tmp_path, external=make_network(name="external", subnet={
            "cidr": "203.0.113.0/24", "dhcp_ip": None, "enable_dhcp": False}),
            network_type=kind, physical_network="physnet1", **segment, subnet={
                "cidr": "10.51.0.0/24", "gateway_ip": ROUTER, "dhcp_ip": OWN}) as scene:
        scene.tell(scene.provide(**ROUTED), first, second)
        ear = namespaces.run_inside(scene.world.path, lambda: hears("at1"))
        assert [served_by(guest) for guest in scene.guests] == [f"{ROUTER} {ROUTER}"] * 3
        # Requests went to the elected host alone, not to all that the wire leads to.
        asked = [frame for frame in map(_without_tag, network_lab.hear_all(ear))
                 if frame[34:38] == b"\x00\x44\x00\x43"]
        assert asked and not [frame for frame in asked if frame[:6] == b"\xff" * 6]
        assert all(wait_for(lambda guest=guest: resolves(guest, "guest10.", "10.51.0.10")) for guest in scene.guests)
        scene.tell(scene.provide(), first, second)
        assert [served_by(guest) for guest in scene.guests] == [f"{OWN} 192.0.2.53"] * 3
        assert not [frame for frame in map(_without_tag, network_lab.hear_all(ear))
                    if frame[34:38] == b"\x00\x44\x00\x43" and frame[:6] == b"\xff" * 6]


def test_guests_elsewhere_get_their_names_and_options_as_well(scene: Scene) -> None:
    first, second = scene.hosts
    scene.net = dataclasses.replace(scene.net, dns_domain="cloud.example.")
    scene.tell(scene.provide(**ROUTED), first, second)
    places = [place(guest, at) for guest, at in zip(scene.guests, (first, second, second), strict=True)]
    options = [{"opt_name": "mtu", "opt_value": "1300", "ip_version": 4}]

    def told(name: str, given: list[dict[str, Any]]) -> dict[str, str]:
        served = [{"id": guest.port.id, "name": f"guest{number}", "options": []}
                  for number, guest in enumerate(scene.guests)]
        served[2] |= {"name": name, "options": given}
        first.tell(scene.net, *(f"{where} {json.dumps(what)}" for where, what in zip(places, served, strict=True)))
        return scene.guests[2].dhcp()

    lease = told("web", options)
    assert (lease["hostname"], lease["domain"], lease["mtu"]) == ("web", "cloud.example", "1300")
    assert wait_for(lambda: resolves(scene.guests[1], "web.cloud.example", "10.51.0.12"))
    assert scene.guests[1].dhcp()["mtu"] == "1450"
    lease = told("app", [])
    assert (lease["hostname"], lease["mtu"]) == ("app", "1450")


def test_a_server_that_ends_is_started_again(scene: Scene) -> None:
    first, second = scene.hosts
    scene.tell(scene.provide(**ROUTED), first, second)
    [pid] = (first.cloud.directory / "state" / "compute" / "router-servers").glob("*/dnsmasq.pid")
    killed = pid.read_text()
    os.kill(int(killed), signal.SIGKILL)
    assert wait_for(lambda: pid.read_text() != killed and processes(first)["router-servers"] == 1, 60)
    assert served_by(scene.guests[1]) == f"{ROUTER} {ROUTER}"
    # Members come and go, and the server follows them.
    stranger = "fa:16:3e:00:00:99 10.51.0.99 192.0.2.2"
    hosted = pid.with_name("dnsmasq.hosts")
    for told in ([stranger], []):
        first.tell(scene.net, *told, *(place(guest, at) for guest, at in zip(
            scene.guests, (first, second, second), strict=True)))
        assert ("10.51.0.99" in hosted.read_text()) == bool(told)


def test_dns_by_the_router_beside_dhcp_by_each_host(scene: Scene) -> None:
    scene.tell(scene.provide(DNS="VirtualRouter"), *scene.hosts)
    assert [served_by(guest) for guest in scene.guests] == [f"{OWN} {ROUTER}"] * 3
    assert all(wait_for(lambda guest=guest: resolves(guest)) for guest in scene.guests)


def test_what_nobody_gives_is_not_there(scene: Scene) -> None:
    scene.tell(scene.provide(DNS=""), *scene.hosts)
    assert [served_by(guest) for guest in scene.guests] == [f"{OWN} -"] * 3
    scene.tell(scene.provide(DHCP="", DNS="", Userdata=""), *scene.hosts)
    assert [guest.dhcp(2) for guest in scene.guests] == [{}, {}, {}]
    assert {tuple(processes(host).values()) for host in scene.hosts} == {(0, 0)}
    assert {guest.fetch(METADATA)[0] for guest in scene.guests} == {0}
    scene.tell(scene.provide(), *scene.hosts)
    assert [served_by(guest) for guest in scene.guests] == [f"{OWN} 203.0.113.1"] * 3
    assert {guest.fetch(METADATA)[0] for guest in scene.guests} == {200}


@pytest.mark.contract("Z-FLATNET", "Z-PROVIDERSWAP")
def test_a_swap_loses_no_lease_no_address_and_no_traffic(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = scene.hosts
    scene.tell(scene.provide(**ROUTED), first, second)
    for guest in scene.guests:
        assert served_by(guest)
    assert scene.world.pings(FLOATING)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("DHCP and DNS: VirtualRouter → Flat", lambda: scene.tell(scene.provide(), first, second)),
        ("and back", lambda: scene.tell(scene.provide(**ROUTED), first, second)),
        ("all: VirtualRouter → Flat", lambda: (scene.provide(), scene.tell(scene.flat(), second, first))[-1])]
    for name, step in steps:
        with (pinging(scene.guests[2], scene.guests[0].address) as between, pinging(
                scene.guests[2], "203.0.113.1") as out, scene.world.pinging(FLOATING) as inwards):
            step()
            assert all(rebinds(guest) for guest in scene.guests), name
        lost = between(), out(), inwards()
        with capsys.disabled():
            print(f"\n{name}: {lost} pings missed between guests, from one to the outside, and to a floating IP; "
                  "one each 0.2 s")
        assert max(lost) < 10, (name, lost)
    # What a router has no elected host for, each host gives.
    scene.provide(**ROUTED)
    scene.tell(scene.flat(), first, second)
    assert [served_by(guest) for guest in scene.guests] == [f"{OWN} 203.0.113.1"] * 3
