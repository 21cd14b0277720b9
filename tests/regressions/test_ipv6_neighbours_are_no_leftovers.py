"""The doctor took the neighbour lines that a VXLAN network's bridge has for IPv6 for leftovers of a hand.

What the agent writes and what it expects to find came from two calls, and only one of them knew of IPv6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler import ids
from hostler.resources.network import kinds
from hostler.resources.server.specs import RouterPortSpec, RouterSpec, SubnetSpec
from tests.harness import network_lab
from tests.harness.network_lab import ALLOW_OUT, Cloud
from tests.harness.two_hosts import overlay

pytestmark = network_lab.NEEDS


@pytest.fixture(scope="module", autouse=True)
def host_namespace() -> Iterator[None]:
    with network_lab.host_network():
        yield


def test_a_healthy_host_with_ipv6_differs_in_nothing(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, host="one", compute__tunnel_ip="192.0.2.1")
    try:
        bare = overlay(7)
        bare = dataclasses.replace(bare, subnets=(*bare.subnets, SubnetSpec(
            id=ids.new_id(), cidr="fd77::/64", ip_version=6, gateway_ip="fd77::1", dhcp_ip="fd77::2",
            ipv6_ra_mode="slaac", ipv6_address_mode="slaac")))
        net = dataclasses.replace(bare, routers=(RouterSpec(id=ids.new_id(), revision=1, interfaces=(RouterPortSpec(
            id=ids.new_id(), mac_address="fa:16:3e:01:00:01", network=bare, addresses=("fd77::1/64",)),)),))
        cloud.boot(10, net, ALLOW_OUT)
        cloud.plumbing.update_groups({kinds.key(net.id): ["fa:16:3e:00:00:77 fd77::77 192.0.2.2"]})
        assert cloud.plumbing.inspect({})["differences"] == []
    finally:
        cloud.tear_down()
