"""A router with an interface for each subnet of a dual-stack network was not made on hosts that another one leads for.

Its IPv6 neighbour, the elected host, was written on whichever interface came first: the kernel refuses one on an
interface that has no IPv6 address.
"""

from __future__ import annotations

import dataclasses
import subprocess

import pytest

from compute.network import names
from hostler import ids
from hostler.resources.server.specs import RouterPortSpec, SubnetSpec
from tests.harness import network_lab
from tests.harness.elected_router import Scene, scene
from tests.harness.network_fixtures import host_namespace, hosts
from tests.harness.network_lab import wait_for

__all__ = ["host_namespace", "hosts", "scene"]
pytestmark = network_lab.NEEDS


@pytest.mark.parametrize("ipv6_first", [False, True])
def test_both_families_lead_to_the_elected_host(scene: Scene, ipv6_first: bool) -> None:
    first, second = scene.hosts
    ipv6 = SubnetSpec(id=ids.new_id(), cidr="fd51::/64", ip_version=6, gateway_ip="fd51::1", dhcp_ip="fd51::2",
                      ipv6_ra_mode="slaac", ipv6_address_mode="slaac")
    scene.net = dataclasses.replace(scene.net, subnets=(*scene.net.subnets, ipv6))
    [port], gateway = scene.router.interfaces, scene.router.gateway
    assert gateway is not None
    interfaces = (dataclasses.replace(port, network=scene.net),
                  RouterPortSpec(id=ids.new_id(), mac_address="fa:16:3e:01:00:02", network=scene.net,
                                 addresses=("fd51::1/64",)))
    scene.router = dataclasses.replace(
        scene.router, interfaces=interfaces[::-1] if ipv6_first else interfaces,
        gateway=dataclasses.replace(gateway, addresses=("2001:db8::20/64",)))
    scene.tell(scene.elected(first), first, second)
    assert wait_for(lambda: scene.guests[2].pings("203.0.113.1"), 30)
    namespace = (second.cloud.directory / "state/compute/routers" / scene.router.id
                 / names.router_namespace_name(scene.router.id))

    def routes() -> str:
        return subprocess.run(["nsenter", f"--net={namespace}", "busybox", "ip", "-6", "route"], capture_output=True,
                              text=True, check=True).stdout

    assert "default via fe80:" in second.on(routes)
