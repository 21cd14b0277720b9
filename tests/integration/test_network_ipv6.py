"""IPv6 of the agent's network plumbing on a real kernel: advertisements, DHCPv6, metadata and filters.

As in `test_network_plumbing`, guests are namespaces.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from hostler import ids
from hostler.resources.network import autoconf
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, RuleSpec, SubnetSpec
from tests.harness import dhcpv6_client, network_lab
from tests.harness.network_lab import ALLOW_OUT, Cloud, Guest, hear_all, heard, make_network, ruleset, wait_for

pytestmark = network_lab.NEEDS

OUT = RuleSpec(direction="egress", ethertype="IPv6")
PING = RuleSpec(direction="ingress", ethertype="IPv6", protocol="ipv6-icmp", port_min=128, port_max=0)
WEB = RuleSpec(direction="ingress", ethertype="IPv6", protocol="tcp", port_min=8080, port_max=8080)
ANYTHING = RuleSpec(direction="ingress", ethertype="IPv6")
PATIENCE_S = 30


@pytest.fixture(scope="module", autouse=True)
def host_namespace() -> Iterator[None]:
    with network_lab.host_network():
        yield


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(made.tear_down)
        yield made


def dual_stack(mode: str | None, **values: Any) -> NetworkSpec:
    """A network with 10.77.0.0/24 and fd77::/64."""
    subnet = SubnetSpec(id=ids.new_id(), cidr="fd77::/64", ip_version=6, gateway_ip="fd77::1", dhcp_ip="fd77::2",
                        dns_nameservers=("fd77::53",), ipv6_ra_mode=mode, ipv6_address_mode=mode)
    network = make_network(**values)
    return dataclasses.replace(network, subnets=(*network.subnets, subnet))


def boot(cloud: Cloud, number: int, net: NetworkSpec, *rules: RuleSpec, address: str | None = None,
         **values: Any) -> Guest:
    """A guest with both addresses: that of IPv6 is `address`, or what it forms."""
    mac = f"fa:16:3e:00:00:{number:02x}"
    address = address or autoconf.address_in("fd77::/64", mac)
    return cloud.boot(number, net, *rules, fixed_ips=(
        FixedIpSpec(ip_address=f"10.77.0.{number}", subnet_id=net.subnets[0].id),
        FixedIpSpec(ip_address=address, subnet_id=net.subnets[1].id)), **values)


def ipv6(guest: Guest) -> str:
    return guest.port.fixed_ips[1].ip_address


def has(guest: Guest, address: str) -> bool:
    shown = guest.run("busybox ip -6 addr show dev eth0").stdout
    return f" {address}/" in shown and "tentative" not in shown


def formed(*guests: Guest) -> bool:
    return all(wait_for(lambda guest=guest: has(guest, ipv6(guest)), PATIENCE_S) for guest in guests)


def give(*guests: Guest) -> None:
    """Configure the guests by hand."""
    for guest in guests:
        guest.run(f"busybox ip -6 addr add {ipv6(guest)}/64 dev eth0")
    assert formed(*guests)


def reached(attempt: Callable[[], bool]) -> bool:
    return wait_for(attempt, PATIENCE_S)


def pings(guest: Guest, address: str) -> bool:
    """Neighbours may be asked for while the first requests wait, so there are some."""
    return guest.run(f"busybox ping6 -c 2 -i 0.3 -W 1 {address}").returncode == 0


def test_guests_form_addresses_and_reach_each_other_as_their_rules_say(cloud: Cloud) -> None:
    net = dual_stack("slaac")
    first, second, third = boot(cloud, 10, net, OUT), boot(cloud, 11, net, OUT, PING, WEB), boot(cloud, 12, net)
    assert formed(first, second, third)
    assert first.run("cat /proc/sys/net/ipv6/conf/eth0/mtu").stdout.strip() == "1450"
    assert "default" not in first.run("busybox ip -6 route").stdout, "the namespace is no way out"
    for port in (8080, 8081):
        second.listen(port)
    assert reached(lambda: pings(first, ipv6(second))), "an echo request passes, and its answer without a rule"
    assert not pings(second, ipv6(first))
    assert reached(lambda: first.reaches(ipv6(second), 8080)) and not first.reaches(ipv6(second), 8081)
    assert not third.reaches(ipv6(second), 8080), "nothing leaves without a rule"
    assert first.dhcp()["ip"] == "10.77.0.10", "IPv4 is served beside it"
    cloud.plumbing.apply_rules([dataclasses.replace(second.port, rules=(OUT,))])
    assert not pings(first, ipv6(second))


def test_members_of_a_group_are_known_by_their_ipv6_addresses(cloud: Cloud) -> None:
    net, group = dual_stack("slaac"), ids.new_id()
    members = RuleSpec(direction="ingress", ethertype="IPv6", remote_is_group=True, remote_group_id=group)
    inside = RuleSpec(direction="ingress", ethertype="IPv6", protocol="ipv6-icmp", remote_cidrs=("fd77::c0/124",))
    first, second = boot(cloud, 10, net, OUT), boot(cloud, 11, net, OUT, members, inside)
    third = boot(cloud, 12, net, OUT, address="fd77::c1")
    assert formed(first, second)
    give(third)
    assert not pings(first, ipv6(second)) and reached(lambda: pings(third, ipv6(second)))
    mac = first.port.mac_address
    cloud.plumbing.update_groups({group: [f"{mac} 10.77.0.10/32", f"{mac} {ipv6(first)}/128"]})
    assert reached(lambda: pings(first, ipv6(second)))
    cloud.plumbing.update_groups({group: [f"{mac} 10.77.0.10/32"]})
    assert not pings(first, ipv6(second))


def test_metadata_is_at_the_link_local_address_and_the_subnets(cloud: Cloud) -> None:
    net = dual_stack("slaac")
    guest = boot(cloud, 10, net)
    assert formed(guest)
    for host in ("fe80::a9fe:a9fe%25eth0", "fd77::2"):
        assert guest.fetch(f"-g 'http://[{host}]/latest/meta-data/hostname'") == (200, "guest10")
    stranger = boot(cloud, 11, net, port_security=False)
    assert formed(stranger)
    stranger.run(f"busybox ip -6 addr add fd77::99/64 dev eth0; busybox ip -6 addr del {ipv6(stranger)}/64 dev eth0")
    assert stranger.fetch("-g --interface fd77::99 'http://[fd77::2]/latest/meta-data/hostname'")[0] == 0


def test_guests_ask_for_addresses_of_a_stateful_subnet(cloud: Cloud) -> None:
    net = dual_stack("dhcpv6-stateful", dns_domain="cloud.example")
    guest = boot(cloud, 10, net, address="fd77::1234")
    assert wait_for(lambda: has(guest, autoconf.link_local(guest.port.mac_address)), PATIENCE_S)
    lease = dhcpv6_client.ask(guest)
    assert lease == dhcpv6_client.Lease("fd77::1234", ("fd77::53",))
    assert not has(guest, autoconf.address_in("fd77::/64", guest.port.mac_address)), "the prefix is not for forming"


def test_a_stateless_server_answers_with_options_alone(cloud: Cloud) -> None:
    guest = boot(cloud, 10, dual_stack("dhcpv6-stateless"))
    assert formed(guest)
    assert dhcpv6_client.ask(guest, address=False) == dhcpv6_client.Lease(None, ("fd77::53",))


def frame(guest: Guest, source: str, payload: bytes, protocol: int, to: str = "ff02::1", mac: str = "") -> bytes:
    """An Ethernet frame with an IPv6 packet; of ICMPv6 and UDP, with its checksum."""
    sender = bytes.fromhex((mac or guest.port.mac_address).replace(":", ""))
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
    at = 2 if protocol == socket.IPPROTO_ICMPV6 else 6
    padded = addresses + struct.pack("!II", len(payload), protocol) + payload + bytes(len(payload) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    payload = payload[:at] + struct.pack("!H", ~total & 0xFFFF or 0xFFFF) + payload[at + 2:]
    head = struct.pack("!IHBB", 0x60000000, len(payload), protocol, 255)
    return bytes.fromhex("333300000001") + sender + b"\x86\xdd" + head + addresses + payload


def neighbour(kind: int, target: str) -> bytes:
    return bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, target)


def udp(source: int, target: int) -> bytes:
    return struct.pack("!HHHH", source, target, 32, 0) + b"hostler is not the one!!"


def test_a_guest_is_nobody_else_no_router_and_no_server(cloud: Cloud) -> None:
    net = dual_stack("slaac")
    pair = {"ip_address": "fd88::/61"}
    first = boot(cloud, 10, net, OUT, allowed_pairs=(pair,))
    second = boot(cloud, 11, net, OUT, ANYTHING)
    assert formed(first, second)
    own, linked, icmp = ipv6(first), autoconf.link_local(first.port.mac_address), socket.IPPROTO_ICMPV6
    other = ipv6(second)
    frames = {
        "honest": (frame(first, own, udp(1, 2), 17), True),
        "link-local": (frame(first, linked, udp(1, 3), 17), True),
        "a pair": (frame(first, "fd88:0:0:7::5", udp(1, 4), 17), True),
        "beside the pair": (frame(first, "fd88:0:0:8::5", udp(1, 5), 17), False),
        "a foreign address": (frame(first, "fd77::50", udp(1, 6), 17), False),
        "a foreign link-local address": (frame(first, "fe80::50", udp(1, 7), 17), False),
        "a foreign MAC": (frame(first, own, udp(1, 8), 17, mac="fa:16:3e:00:00:99"), False),
        "from nowhere": (frame(first, "::", udp(1, 9), 17), False),
        "a question for a neighbour": (frame(first, own, neighbour(135, other), icmp), True),
        "is my address taken": (frame(first, "::", neighbour(135, own), icmp), True),
        "is another's address taken": (frame(first, "::", neighbour(135, other), icmp), False),
        "own advertisement": (frame(first, own, neighbour(136, own), icmp), True),
        "own link-local advertisement": (frame(first, linked, neighbour(136, linked), icmp), True),
        "advertisement of a pair": (frame(first, own, neighbour(136, "fd88:0:0:7::5"), icmp), True),
        "advertisement beside the pair": (frame(first, own, neighbour(136, "fd88:0:0:8::5"), icmp), False),
        "advertisement of another": (frame(first, own, neighbour(136, other), icmp), False),
        "router advertisement": (frame(first, linked, bytes([134]) + bytes(15), icmp), False),
        "redirect": (frame(first, linked, bytes([137]) + bytes(39), icmp), False),
        "DHCPv6 answer": (frame(first, linked, udp(547, 546), 17), False),
    }
    passed = {}
    for name, (each, _) in frames.items():
        with second.sniff() as ear:
            first.send_frame(each)
            passed[name] = heard(ear, each)
    assert passed == {name: expected for name, (_, expected) in frames.items()}


def test_a_port_without_ipv6_speaks_none(cloud: Cloud) -> None:
    net = make_network()
    first, second = cloud.boot(10, net, ALLOW_OUT, OUT), cloud.boot(11, net, ALLOW_OUT, OUT, ANYTHING)
    each = frame(first, autoconf.link_local(first.port.mac_address), udp(1, 2), 17)
    with second.sniff() as ear:
        first.send_frame(each)
        assert not heard(ear, each)


def test_nobody_outside_advertises_what_the_host_does(tmp_path: Path) -> None:
    net = dual_stack("slaac", physical_network="wire")
    with IPRoute() as ipr:
        ipr.link("add", ifname="wire0", kind="veth", peer="far0")
        ipr.link("set", index=ipr.link_lookup(ifname="far0")[0], state="up")
    cloud = Cloud(tmp_path, network__bridge_mappings={"wire": "wire0"})
    try:
        guest = boot(cloud, 10, net, OUT, ANYTHING)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as far:
            far.bind(("far0", 3))
            far.settimeout(0.4)
            assert formed(guest)
            icmp, router = socket.IPPROTO_ICMPV6, "fe80::5"
            outside = [frame(guest, router, bytes([134]) + bytes(15), icmp, mac="02:00:00:00:00:05"),
                       frame(guest, router, neighbour(136, "fe80::a9fe:a9fe"), icmp, mac="02:00:00:00:00:05")]
            allowed = frame(guest, router, udp(5, 6), 17, mac="02:00:00:00:00:05")
            with guest.sniff() as ear:
                for each in [*outside, allowed]:
                    far.send(each)
                frames = hear_all(ear)
            assert [any(each[14:] in seen for seen in frames) for each in [*outside, allowed]] == [False, False, True]
            kinds = {seen[54] for seen in hear_all(far) if seen[12:14] == b"\x86\xdd" and seen[20] == icmp}
            assert 134 not in kinds, "this host's advertisements are for its own guests"
    finally:
        cloud.tear_down()
        with IPRoute() as ipr:
            ipr.link("del", index=ipr.link_lookup(ifname="wire0")[0])


def test_ipv6_comes_and_goes_with_its_subnet(cloud: Cloud) -> None:
    both = dual_stack("slaac")
    plain = dataclasses.replace(both, subnets=both.subnets[:1])
    guest = cloud.boot(10, plain, OUT)
    assert "ip6" not in ruleset()
    address = FixedIpSpec(ip_address=autoconf.address_in("fd77::/64", guest.port.mac_address),
                          subnet_id=both.subnets[1].id)
    port = dataclasses.replace(guest.port, network=both, fixed_ips=(*guest.port.fixed_ips, address))
    cloud.plumbing.update_network(both, [port])
    assert wait_for(lambda: has(guest, address.ip_address), PATIENCE_S)
    cloud.plumbing.update_network(plain, [dataclasses.replace(guest.port, network=plain)])
    assert "ip6" not in ruleset()
    assert guest.dhcp()["ip"] == "10.77.0.10"
