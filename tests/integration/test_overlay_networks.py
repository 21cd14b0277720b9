"""VXLAN networks between two hosts on a real kernel: devices, tables, frames.

Two network namespaces joined by a wire are the hosts, each with its own plumbing; what a conductor would send them is
sent by the test.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from compute.network import names, namespaces
from hostler import ids
from hostler.resources.network import kinds
from hostler.resources.server.specs import NetworkSpec
from tests.harness import network_lab
from tests.harness.network_lab import (
    ALLOW_OUT,
    ALLOW_PING,
    Cloud,
    Guest,
    hear_all,
    ip_frame,
    link_names,
    make_network,
    wait_for,
)

pytestmark = network_lab.NEEDS
Result = TypeVar("Result")
ALLOW_TCP = network_lab.RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp")


class HostOfTwo:
    """A host: its namespace (None is the test's), its tunnel address, its plumbing."""

    def __init__(self, directory: Path, namespace: Path | None, tunnel_ip: str) -> None:
        self.namespace, self.tunnel_ip = namespace, tunnel_ip
        self.cloud = self.on(lambda: Cloud(directory, compute__tunnel_ip=tunnel_ip))

    def on(self, work: Callable[[], Result]) -> Result:
        return work() if self.namespace is None else namespaces.run_inside(self.namespace, work)

    def boot(self, number: int, net: NetworkSpec) -> Guest:
        guest = self.on(lambda: self.cloud.boot(number, net, ALLOW_OUT, ALLOW_PING, ALLOW_TCP))
        guest.run(f"busybox ip addr add {guest.address}/24 dev eth0")
        return guest

    def tell(self, net: NetworkSpec, *places: str) -> None:
        self.on(lambda: self.cloud.plumbing.update_groups({kinds.key(net.id): places}))

    def fdb(self, net: NetworkSpec) -> set[str]:
        """Return the lines of the tunnel device but its own."""
        name = names.vxlan_name(net.id)
        shown = self.on(lambda: subprocess.run(["bridge", "fdb", "show", "dev", name], capture_output=True, text=True,
                                               check=True).stdout)
        return {line.strip() for line in shown.splitlines() if "master" not in line or "static" in line}

    def links(self) -> list[str]:
        return self.on(link_names)

    def tear_down(self) -> None:
        self.on(self.cloud.tear_down)


@pytest.fixture(scope="module", autouse=True)
def host_namespace() -> Iterator[None]:
    with network_lab.host_network():
        yield


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[HostOfTwo, HostOfTwo]]:
    other = tmp_path / "other"
    namespaces.create(other)

    def address(name: str, text: str) -> None:
        with IPRoute() as ipr:
            index = ipr.link_lookup(ifname=name)[0]
            ipr.addr("add", index=index, address=text, prefixlen=24)
            ipr.link("set", index=index, state="up")

    def unwire() -> None:
        # Not left to the other namespace's end, which comes when its last process is gone.
        with IPRoute() as ipr, contextlib.suppress(NetlinkError):
            for index in ipr.link_lookup(ifname="wire0"):
                ipr.link("del", index=index)

    with contextlib.ExitStack() as stack:
        stack.callback(namespaces.remove, other)
        stack.callback(unwire)
        with other.open("rb") as handle, IPRoute() as ipr:
            ipr.link("add", ifname="wire0", kind="veth", peer={"ifname": "wire0", "net_ns_fd": handle.fileno()})
        address("wire0", "192.0.2.1")
        namespaces.run_inside(other, lambda: address("wire0", "192.0.2.2"))
        made = []
        for directory, namespace, tunnel_ip in (("a", None, "192.0.2.1"), ("b", other, "192.0.2.2")):
            made.append(HostOfTwo(tmp_path / directory, namespace, tunnel_ip))
            stack.callback(made[-1].tear_down)
        yield made[0], made[1]


def overlay(number: int) -> NetworkSpec:
    return make_network(network_type=kinds.VXLAN, segmentation_id=number, mtu=1450)


def place(guest: Guest, host: HostOfTwo) -> str:
    return f"{guest.port.mac_address} {guest.address} {host.tunnel_ip}"


def test_guests_on_two_hosts_reach_each_other_and_nothing_is_learned(hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
    first, second = hosts
    net = overlay(7)
    one, two = first.boot(10, net), second.boot(11, net)
    assert not one.pings(two.address), "neither host knows the other yet"
    places = [place(one, first), place(two, second)]
    for host in hosts:
        host.tell(net, *places)
    assert wait_for(lambda: one.pings(two.address) and two.pings(one.address), 30)
    two.listen(80)
    assert one.reaches(two.address, 80)
    assert first.fdb(net) == {"00:00:00:00:00:00 dst 192.0.2.2 self permanent",
                              f"{two.port.mac_address} dst 192.0.2.2 self permanent",
                              f"{two.port.mac_address} master {names.bridge_name(net.id)} static"}
    assert one.dhcp()["mtu"] == "1450" and two.dhcp()["serverid"] == "10.77.0.2", "each host answers by itself"
    assert one.run(f"busybox ping -c 1 -W 2 -s 1422 {two.address}").returncode == 0, "frames of the full MTU fit"


def test_what_is_addressed_to_nobody_known_stays_on_its_host(hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
    first, second = hosts
    net = overlay(7)
    one, two = first.boot(10, net), second.boot(11, net)
    for host in hosts:
        host.tell(net, place(one, first), place(two, second))
    assert wait_for(lambda: one.pings(two.address), 30)
    wire = first.on(lambda: _sniff("wire0"))
    mac = bytes.fromhex(one.port.mac_address.replace(":", ""))
    one.send_frame(b"\x02\x00\x00\x00\x00\x77" + ip_frame(mac, one.address)[6:])
    one.run(f"busybox ip neigh flush dev eth0; busybox arping -c 2 -w 2 -I eth0 {two.address}")
    inner = [frame[50:] for frame in hear_all(wire) if len(frame) > 64 and frame[36:38] == b"\x12\xb5"]
    assert not [frame for frame in inner if frame[:6] == b"\x02\x00\x00\x00\x00\x77"], "unknown unicast is dropped"
    assert not [frame for frame in inner if frame[:6] == b"\xff" * 6 and frame[12:14] == b"\x08\x06"], \
        "the bridge answers ARP requests itself"


def _sniff(name: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    raw.bind((name, 3))
    raw.settimeout(0.5)
    return raw


def test_equal_addresses_in_two_networks_do_not_meet(hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
    first, second = hosts
    blue, red = overlay(7), overlay(8)
    for net, marker in ((blue, 80), (red, 81)):
        one, two = first.boot(10, net), second.boot(11, net)
        for host in hosts:
            host.tell(net, place(one, first), place(two, second))
        two.listen(marker)
        assert wait_for(lambda one=one, two=two, marker=marker: one.reaches(two.address, marker), 30)
        assert not one.reaches(two.address, 161 - marker)


def test_frames_follow_a_guest_to_another_host(hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
    first, second = hosts
    net = overlay(7)
    one, two, third = first.boot(10, net), second.boot(11, net), first.boot(12, net)
    for host in hosts:
        host.tell(net, place(one, first), place(two, second), place(third, first))
    assert wait_for(lambda: two.pings(third.address), 30)
    first.on(third.power_off)
    first.cloud.guests.remove(third)
    first.on(lambda: first.cloud.plumbing.unplug(third.port))
    moved = second.on(lambda: second.cloud.boot(12, net, ALLOW_OUT, ALLOW_PING, id=third.port.id,
                                                mac_address=third.port.mac_address))
    moved.run(f"busybox ip addr add {moved.address}/24 dev eth0")
    for host in hosts:
        host.tell(net, place(one, first), place(two, second), place(moved, second))
    assert wait_for(lambda: one.pings(moved.address) and two.pings(moved.address), 30)
    assert f"{moved.port.mac_address} dst 192.0.2.2 self permanent" in first.fdb(net)
    assert not [line for line in second.fdb(net) if moved.port.mac_address in line]


def test_an_agents_restart_interrupts_nothing_and_leftovers_go(hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
    first, second = hosts
    net = overlay(7)
    one, two = first.boot(10, net), second.boot(11, net)
    for host in hosts:
        host.tell(net, place(one, first), place(two, second))
    assert wait_for(lambda: one.pings(two.address), 30)
    before = first.fdb(net)
    subprocess.run(["bridge", "fdb", "append", "02:00:00:00:00:99", "dev", names.vxlan_name(net.id), "dst",
                    "192.0.2.9"], check=True)
    stray = names.vxlan_name(ids.new_id())
    with IPRoute() as ipr:
        ipr.link("add", ifname=stray, kind="vxlan", vxlan_id=99, vxlan_port=4789)
    first.cloud.restart_agent()
    first.cloud.plumbing.restore([one.server])
    assert first.fdb(net) == before and stray not in first.links()
    assert one.pings(two.address)
    first.on(one.power_off)
    first.cloud.guests.remove(one)
    first.cloud.plumbing.unplug(one.port)
    assert not [name for name in first.links() if name.startswith(("hvx", "hbr", "hvh"))]


def test_a_number_that_a_forgotten_device_holds_is_taken_from_it(hosts: tuple[HostOfTwo, HostOfTwo]) -> None:
    first, _ = hosts
    stray = names.vxlan_name(ids.new_id())
    with IPRoute() as ipr:
        ipr.link("add", ifname=stray, kind="vxlan", vxlan_id=7, vxlan_port=4789)
    net = overlay(7)
    first.boot(10, net)
    assert stray not in first.links() and names.vxlan_name(net.id) in first.links()
