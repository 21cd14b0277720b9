"""Which subnets a host's router is advertised in."""

from __future__ import annotations

from compute.network.router_advertisements import subnets
from compute.network.router_rules import HostRouter
from hostler.resources.server.specs import NetworkSpec, RouterPortSpec, RouterSpec, SubnetSpec


def subnet(number: int, mode: str | None, version: int = 6) -> SubnetSpec:
    return SubnetSpec(id=f"s{number}", cidr=f"fd{number}::/64" if version == 6 else "10.0.0.0/24", ip_version=version,
                      ipv6_ra_mode=mode, ipv6_address_mode=mode)


def test_only_advertised_subnets_that_the_router_has() -> None:
    network = NetworkSpec(id="n", name="n", subnets=(
        subnet(10, "slaac"), subnet(11, None), subnet(12, "dhcpv6-stateful"), subnet(13, None, 4)))
    port = RouterPortSpec(id="p", mac_address="fa:16:3e:00:00:01", network=network,
                          addresses=("fd10::1/64", "fd11::1/64", "10.0.0.1/24"))
    router = HostRouter(RouterSpec(id="r", interfaces=(port,)), "one")
    assert [(tag, found.id) for tag, _, found in subnets(router)] == [("tag:subnet0", "s10")]
