"""VXLAN networks between two hosts on a real kernel: devices, tables, frames."""

from __future__ import annotations

import socket
import subprocess

from pyroute2 import IPRoute

from compute.network import names
from hostler import ids
from tests.harness import network_lab
from tests.harness.network_fixtures import host_namespace, hosts
from tests.harness.network_lab import ALLOW_OUT, ALLOW_PING, hear_all, ip_frame, wait_for
from tests.harness.two_hosts import HostOfTwo, overlay, place

__all__ = ["host_namespace", "hosts"]
pytestmark = network_lab.NEEDS


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
