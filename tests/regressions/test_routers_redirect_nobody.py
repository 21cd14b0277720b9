"""A router sent its guests ICMP redirects to the elected host, through which they had gone anyway.

A guest that believed one remembered that host, and lost its way when another one was elected.
"""

from __future__ import annotations

import dataclasses

from hostler import ids
from hostler.resources.network import autoconf
from hostler.resources.server.specs import FixedIpSpec, SubnetSpec
from tests.harness import network_lab
from tests.harness.elected_router import Scene, scene
from tests.harness.network_fixtures import host_namespace, hosts
from tests.harness.network_lab import hear_all, wait_for

__all__ = ["host_namespace", "hosts", "scene"]
pytestmark = network_lab.NEEDS


def _redirects(frames: list[bytes]) -> list[bytes]:
    """Return the frames that redirect: ICMP type 5, ICMPv6 type 137."""
    return [frame for frame in frames if frame[12:14] == b"\x08\x00" and frame[23:24] == b"\x01" and frame[34] == 5
            or frame[12:14] == b"\x86\xdd" and frame[20:21] == b"\x3a" and frame[54] == 137]


def test_of_either_family(scene: Scene) -> None:
    first, second = scene.hosts
    mac = scene.guests[2].port.mac_address
    ipv6 = SubnetSpec(id=ids.new_id(), cidr="fd51::/64", ip_version=6, gateway_ip="fd51::1", dhcp_ip="fd51::2",
                      ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    scene.net = dataclasses.replace(scene.net, subnets=(*scene.net.subnets, ipv6))
    [port], gateway = scene.router.interfaces, scene.router.gateway
    assert gateway is not None
    scene.router = dataclasses.replace(
        scene.router, interfaces=(dataclasses.replace(port, network=scene.net,
                                                      addresses=(*port.addresses, "fd51::1/64")),),
        gateway=dataclasses.replace(gateway, addresses=("2001:db8::20/64",)))
    for guest in scene.guests:
        address = FixedIpSpec(ip_address=autoconf.address_in("fd51::/64", guest.port.mac_address), subnet_id=ipv6.id)
        guest.port = dataclasses.replace(guest.port, fixed_ips=(*guest.port.fixed_ips, address), rules=(
            *guest.port.rules, *(dataclasses.replace(rule, ethertype="IPv6", protocol=None)
                                 for rule in guest.port.rules)))
    for host in scene.hosts:
        host.tell(scene.net, *(f"{guest.port.mac_address} {fixed.ip_address} {at.tunnel_ip}" for guest, at in zip(
            scene.guests, (first, second, second), strict=True) for fixed in guest.port.fixed_ips))
    scene.tell(scene.elected(first), first, second)
    guest = scene.guests[2]
    own = autoconf.address_in("fd51::/64", mac)
    assert wait_for(lambda: f" {own}/" in guest.run("busybox ip -6 addr show dev eth0").stdout, 30)
    assert wait_for(lambda: "default via fe80:" in guest.run("busybox ip -6 route").stdout, 30)
    assert wait_for(lambda: guest.pings("203.0.113.1"), 30)
    with guest.sniff() as ear:
        guest.run("busybox ping -c 4 -i 0.3 -W 1 203.0.113.1; busybox ping6 -c 4 -i 0.3 -W 1 2001:db8:1::1")
        frames = hear_all(ear)
    assert any(frame[12:14] == b"\x08\x00" for frame in frames)
    assert _redirects(frames) == []
