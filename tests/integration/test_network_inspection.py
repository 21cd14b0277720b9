"""What a hand left in a host's kernel, or took from it, is found and made right again, while a guest's traffic goes on.

As in `test_network_plumbing`, the test process is the host, and the guest is a namespace.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from compute.network import names, namespaces
from hostler import ids
from hostler.resources.network import kinds
from hostler.resources.server.specs import FloatingIpSpec, NetworkSpec, RouterPortSpec, RouterSpec, SubnetSpec
from tests.harness import network_lab
from tests.harness.network_lab import ALLOW_OUT, ALLOW_PING, Cloud, Guest, make_network
from tests.harness.two_hosts import overlay

pytestmark = network_lab.NEEDS

_ELSEWHERE = "fa:16:3e:00:00:77 10.77.0.77 192.0.2.2"
_FLOATING, _GATEWAY = "203.0.113.20", "10.77.0.1"


@pytest.fixture(scope="module", autouse=True)
def host_namespace() -> Iterator[None]:
    with network_lab.host_network():
        yield


@dataclasses.dataclass
class Scene:
    """A host with one guest on a VXLAN network behind a router with a floating IP, IPv6 outside, and two routes."""

    cloud: Cloud
    net: NetworkSpec
    router: RouterSpec
    guest: Guest

    def differences(self) -> list[tuple[str, str, bool]]:
        """Return type, words and whether it is a leftover."""
        return [(one["type"], f"{one['id']} {one['what']}", one["leftover"])
                for one in self.cloud.plumbing.inspect({})["differences"]]

    @property
    def namespace(self) -> Path:
        """The router's."""
        return (self.cloud.directory / "state" / "compute" / "routers" / self.router.id
                / names.router_namespace_name(self.router.id))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        with IPRoute() as ipr:
            ipr.link("add", ifname="ext0", kind="veth", peer="ext1")
            stack.callback(functools.partial(_run, "ip link del ext0"))
        cloud = Cloud(tmp_path, host="one", compute__tunnel_ip="192.0.2.1",
                      network__bridge_mappings={"physnet1": "ext0"})
        stack.callback(cloud.tear_down)
        net = overlay(7)
        outside = make_network(network_type=kinds.FLAT, physical_network="physnet1", mtu=1500, subnet={
            "cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "dhcp_ip": None, "enable_dhcp": False})
        outside = dataclasses.replace(outside, subnets=(*outside.subnets, SubnetSpec(
            id=ids.new_id(), cidr="2001:db8::/64", ip_version=6, gateway_ip="fe80::1", enable_dhcp=False)))
        router = RouterSpec(
            id=ids.new_id(), revision=1, outside={"one": {"mac": "0e:00:00:00:00:01", "address": "203.0.113.10/24"}},
            interfaces=(RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:01", network=net,
                                       addresses=(f"{_GATEWAY}/24",)),),
            gateway=RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:02", network=outside,
                                   addresses=("2001:db8::20/64",)),
            routes=({"destination": "10.99.0.0/24", "nexthop": "10.77.0.50"},
                    {"destination": "fd99::/64", "nexthop": "2001:db8::50"},
                    {"destination": "10.98.0.0/24", "nexthop": "10.76.0.50"}))  # on a network that is not here
        guest = cloud.boot(10, dataclasses.replace(net, routers=(router,)), ALLOW_OUT, ALLOW_PING, floating_ips=(
            FloatingIpSpec(address=_FLOATING, fixed_ip_address="10.77.0.10", router_id=router.id),))
        guest.run(f"busybox ip addr add {guest.address}/24 dev eth0")
        cloud.plumbing.update_groups({kinds.key(net.id): [_ELSEWHERE]})
        yield Scene(cloud, net, router, guest)


def _run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)


def _in_router(command: str) -> Callable[[Scene], None]:
    return lambda scene: namespaces.run_inside(scene.namespace, lambda: _run(command.format(
        outer=names.router_inner_name(scene.router.gateway.id if scene.router.gateway else ""))))


def _directory(scene: Scene, of: str) -> None:
    there = scene.cloud.directory / "state" / "compute" / of / ids.new_id()
    there.mkdir(parents=True)
    if of == "router-servers":
        return
    namespaces.create(there / (names.router_namespace_name(there.name) if of == "routers"
                               else names.namespace_name(there.name)))


def _with(template: str) -> Callable[[Scene], None]:
    """Return what runs a command with the names that the network has on the host."""
    return lambda scene: _run(template.format(
        vxlan=names.vxlan_name(scene.net.id), bridge=names.bridge_name(scene.net.id),
        veth=names.veth_host_name(scene.net.id), table=names.table_name(scene.net.id),
        tap=names.tap_name(scene.guest.port.id), router=names.router_host_name(scene.router.interfaces[0].id)))


# What is done by hand → the type of what it differs in, what is said, and whether something is too much.
FAULTS: list[tuple[Callable[[Scene], None], str, str, bool]] = [
    (_with("ip link add hvx0123456789a type vxlan id 99 dstport 4789"), "link", "hvx0123456789a", True),
    (_with("ip link add hbr0123456789a type bridge"), "link", "hbr0123456789a", True),
    (_with("ip link add hrh0123456789a type veth peer name x0"), "link", "hrh0123456789a", True),
    (_with("ip link add hvh0123456789a type veth peer name x1"), "link", "hvh0123456789a", True),
    (_with("nft add table inet hostler_0123456789a"), "table", "inet hostler_0123456789a", True),
    (functools.partial(_directory, of="networks"), "network", "namespace or files", True),
    (functools.partial(_directory, of="routers"), "router", "namespace or files", True),
    (functools.partial(_directory, of="router-servers"), "port", "a router's DHCP and DNS server", True),
    (_with("bridge fdb append 02:00:00:00:00:99 dev {vxlan} dst 192.0.2.9"), "network",
     "forwarding line 02:00:00:00:00:99 → 192.0.2.9", True),
    (_with("bridge fdb del fa:16:3e:00:00:77 dev {vxlan} dst 192.0.2.2 self"), "network",
     "forwarding line fa:16:3e:00:00:77 → 192.0.2.2", False),
    (_with("bridge fdb del fa:16:3e:00:00:77 dev {vxlan} master"), "network",
     "forwarding line fa:16:3e:00:00:77 of its bridge", False),
    (_with("ip neigh add 10.77.0.99 lladdr 02:00:00:00:00:99 dev {bridge} nud permanent"), "network",
     "neighbour line 10.77.0.99", True),
    (_with("ip neigh del 10.77.0.77 dev {bridge}"), "network", "neighbour line 10.77.0.77", False),
    (_with("nft flush chain bridge {table} forward"), "network", "its rules in table bridge", False),
    (_with("ip link set {veth} down"), "network", "up", False),
    (_with("ip link set {tap} nomaster"), "port", "in the bridge", False),
    (_with("ip link del {router}"), "router", "its link to network", False),
    (_in_router("ip addr add 203.0.113.99/32 dev {outer}"), "router", "its address 203.0.113.99/32", True),
    (_in_router(f"ip addr del {_FLOATING}/32 dev {{outer}}"), "router", f"its address {_FLOATING}/32", False),
    (_in_router("nft flush table ip hostler_router"), "router", "its rules in table ip", False),
    (_in_router("ip route del default"), "router", "its route to 0.0.0.0/0 by 203.0.113.1", False),
    (_in_router("ip route replace default via 203.0.113.77"), "router", "its route to 0.0.0.0/0 by 203.0.113.1", False),
    (_in_router("ip route add default via 203.0.113.78 metric 9"), "router",
     "its route to 0.0.0.0/0 by 203.0.113.78", True),
    (_in_router("ip route del 10.99.0.0/24"), "router", "its route to 10.99.0.0/24 by 10.77.0.50", False),
    (_in_router("ip -6 route del default"), "router", "its route to ::/0 by fe80::1", False),
    (_in_router("ip -6 route replace default via fe80::2 dev {outer}"), "router",
     "its route to ::/0 by fe80::1", False),
    (_in_router("ip -6 route del fd99::/64"), "router", "its route to fd99::/64 by 2001:db8::50", False),
    (_in_router("ip -6 route add fd98::/64 via 2001:db8::51"), "router",
     "its route to fd98::/64 by 2001:db8::51", True),
]


def test_what_a_hand_did_is_found_and_made_right(scene: Scene) -> None:
    assert scene.differences() == []
    assert scene.cloud.plumbing.inspect({})["addresses"] == {
        scene.router.id: ["2001:db8::20", "203.0.113.10", _FLOATING]}
    for make, kind, said, leftover in FAULTS:
        make(scene)
        found = scene.differences()
        assert [one for one in found if one[0] == kind and said in one[1] and one[2] == leftover], (said, found)
        scene.cloud.plumbing.repair()
        assert scene.differences() == [], said
    assert network_lab.wait_for(lambda: scene.guest.pings(_GATEWAY), 30)


def test_lines_for_places_that_the_agent_was_never_told_of_are_missing(scene: Scene) -> None:
    [lacking] = scene.cloud.plumbing.inspect({scene.net.id: [
        _ELSEWHERE, "fa:16:3e:00:00:78 10.77.0.78 192.0.2.3"]})["lacking"].values()
    assert [line for line in lacking if "fa:16:3e:00:00:77" in line] == []
    assert any("fa:16:3e:00:00:78 → 192.0.2.3" in line for line in lacking)
    assert any("10.77.0.78 → fa:16:3e:00:00:78" in line for line in lacking)
