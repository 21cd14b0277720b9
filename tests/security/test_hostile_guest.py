"""A hostile guest reaches DHCP, metadata and ping of its gateway, and nothing else of the host it runs on.

On a real kernel: the whole test process moves into a network namespace of its own, the 'host'.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from compute.network import names
from hostler.resources.server.specs import NetworkSpec
from tests.harness import network_lab
from tests.harness.network_lab import ALLOW_OUT, ALLOW_PING, Cloud, Guest, dial, make_network

pytestmark = network_lab.NEEDS
GATEWAY, OUTSIDE, WORLD, HOST_METADATA = "10.77.0.1", "198.51.100.1", "198.51.100.2", "169.254.10.10"


@pytest.fixture(scope="module", autouse=True)
def host() -> Iterator[None]:
    with network_lab.host_network():
        yield


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path)
    with contextlib.ExitStack() as stack:
        stack.callback(made.tear_down)
        yield made


@pytest.fixture
def services() -> Iterator[dict[str, socket.socket]]:
    """A service of the host on TCP and one on UDP, at all addresses that the host has or will have."""
    with socket.create_server(("0.0.0.0", 8780)) as tcp, listen_by_udp() as udp:
        yield {"tcp": tcp, "udp": udp}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[network_lab.World]:
    with network_lab.outside_world(tmp_path / "world") as made:
        yield made


def opens(guest: Guest, address: str, port: int) -> bool:
    """Return whether the guest gets a TCP connection, whatever the other side says then."""
    def dial_out() -> bool:
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            return False
        return True

    return network_lab.namespaces.run_inside(guest.path, dial_out)


def listen_by_udp(address: str = "0.0.0.0") -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((address, 53))
    listener.settimeout(0.5)
    return listener


def reaches_by_udp(guest: Guest, service: socket.socket, address: str) -> bool:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"hello", (address, 53))

    network_lab.namespaces.run_inside(guest.path, send)
    with contextlib.suppress(TimeoutError):
        return service.recv(64) != b""
    return False


@pytest.mark.parametrize("port_security", [True, False])
def test_services_of_the_host_are_closed_to_guests(cloud: Cloud, services: dict[str, socket.socket],
                                                   world: network_lab.World, port_security: bool) -> None:
    guest = cloud.boot(10, make_network(host_gateway=True), ALLOW_OUT, port_security=port_security)
    assert guest.dhcp()
    assert guest.fetch("http://169.254.169.254/latest/meta-data/instance-id")[0] == 200
    assert guest.pings(GATEWAY)
    assert not guest.pings(OUTSIDE), "an address of the host that is not the network's"
    for address in (GATEWAY, OUTSIDE):
        assert not opens(guest, address, 8780)
        assert not reaches_by_udp(guest, services["udp"], address)
    assert opens(guest, WORLD, 7), "what is behind the host stays reachable"


def test_the_hosts_own_metadata_is_out_of_reach(cloud: Cloud, world: network_lab.World, tmp_path: Path) -> None:
    """The host gets its own metadata at a link-local address behind its uplink, as in every public cloud."""
    guest = cloud.boot(10, make_network(host_gateway=True), ALLOW_OUT)
    assert guest.dhcp()

    def serve() -> socket.socket:
        with IPRoute() as ipr:
            ipr.addr("add", index=ipr.link_lookup(ifname="eth0")[0], address=HOST_METADATA, prefixlen=16)
        return socket.create_server((HOST_METADATA, 80))

    with IPRoute() as ipr:
        ipr.route("add", dst="169.254.0.0/16", oif=ipr.link_lookup(ifname="out0")[0], prefsrc=OUTSIDE)
    with network_lab.namespaces.run_inside(tmp_path / "world", serve) as metadata:
        with socket.create_connection((HOST_METADATA, 80), timeout=2):
            metadata.accept()[0].close()
        # The second route is of the guest's own making: around the metadata server of the network.
        guest.run(f"busybox ip route replace 169.254.169.254 via {GATEWAY}")
        assert not opens(guest, HOST_METADATA, 80)


def test_a_network_without_gateway_has_no_way_into_the_host(cloud: Cloud, services: dict[str, socket.socket],
                                                            world: network_lab.World, tmp_path: Path) -> None:
    """The bridge's MAC is all that a guest needs to send packets to the host; it is no secret."""
    cloud.boot(9, make_network(host_gateway=True, subnet={"cidr": "10.78.0.0/24", "gateway_ip": "10.78.0.1",
                                                          "dhcp_ip": "10.78.0.2"}))
    net = make_network()
    guest = cloud.boot(10, net, ALLOW_OUT)
    assert guest.dhcp()
    guest.run(f"busybox arp -s {GATEWAY} {names.bridge_mac(net.id)}")
    for address in (OUTSIDE, "10.78.0.1"):
        guest.run(f"busybox ip route add {address} via {GATEWAY}")
        assert not opens(guest, address, 8780)
        assert not reaches_by_udp(guest, services["udp"], address)
    listener = network_lab.namespaces.run_inside(tmp_path / "world", listen_by_udp)
    with listener:
        assert not reaches_by_udp(guest, listener, WORLD), "the host routes nothing for it"


def test_the_host_still_reaches_its_guests(cloud: Cloud) -> None:
    net: NetworkSpec = make_network(host_gateway=True)
    ssh = network_lab.RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22)
    guest = cloud.boot(10, net, ALLOW_OUT, ALLOW_PING, ssh)
    assert guest.dhcp()
    guest.listen(22)
    connection = dial(guest.address, 22)
    assert connection is not None
    connection.close()
