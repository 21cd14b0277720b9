"""Which routes a router has on a host, by who leads outside there and what the host is joined to."""

from __future__ import annotations

import dataclasses
from typing import Any

from compute.network.router_routes import wanted
from compute.network.router_rules import HostRouter
from hostler.resources.network import kinds
from hostler.resources.server.specs import RouterPortSpec, RouterSpec, SubnetSpec
from tests.harness.network_factories import network

INNER = RouterPortSpec(id="a" * 32, mac_address="fa:16:3e:00:00:01", network=network(network_type=kinds.VXLAN),
                       addresses=("10.0.0.1/24", "fd00::1/64"))
OUTSIDE = network(subnets=(
    SubnetSpec(id="s4", cidr="203.0.113.0/24", gateway_ip="203.0.113.1"),
    SubnetSpec(id="s6", cidr="2001:db8::/64", ip_version=6, gateway_ip="2001:db8::1")))
GATEWAY = RouterPortSpec(id="b" * 32, mac_address="fa:16:3e:00:00:02", network=OUTSIDE, addresses=("2001:db8::20/64",))
ELECTED = {"host": "two", "tunnel_ip": "192.0.2.2"}


def routes(*, joined: bool = True, **values: Any) -> set[str]:
    router = HostRouter(RouterSpec(**{"id": "r", "interfaces": (INNER,), "gateway": GATEWAY, **values}), "one")
    return {str(route) for route in wanted(router, [port for port in router.ports if joined or port.id != GATEWAY.id])}


def static(destination: str, nexthop: str) -> dict[str, Any]:
    return {"routes": ({"destination": destination, "nexthop": nexthop},)}


def test_outside_by_both_versions() -> None:
    assert routes() == {"203.0.113.0/24", "0.0.0.0/0 by 203.0.113.1", "::/0 by 2001:db8::1"}
    assert routes(gateway=dataclasses.replace(GATEWAY, addresses=())) == {
        "203.0.113.0/24", "0.0.0.0/0 by 203.0.113.1"}
    assert routes(joined=False) == routes(gateway=None) == set()


def test_to_the_host_that_leads_outside() -> None:
    assert {one.partition(" ")[0] for one in routes(elected=ELECTED)} == {"0.0.0.0/0", "::/0"}
    assert routes(elected=ELECTED).isdisjoint(routes())
    assert routes(elected={}) == set(), "while no host leads"


def test_routes_of_users_whose_next_hop_is_here() -> None:
    assert "10.9.0.0/16 by 10.0.0.9" in routes(**static("10.9.0.0/16", "10.0.0.9"))
    assert "fd09::/64 by fd00::9" in routes(elected=ELECTED, **static("fd09::/64", "fd00::9"))
    assert "10.9.0.0/16 by 203.0.113.9" in routes(**static("10.9.0.0/16", "203.0.113.9"))
    assert routes(elected=ELECTED, **static("10.9.0.0/16", "203.0.113.9")) == routes(elected=ELECTED)
    assert routes(**static("10.9.0.0/16", "10.7.0.9")) == routes(), "on a network that is not here"


def test_a_route_of_a_user_comes_before_the_way_outside() -> None:
    assert routes(**static("0.0.0.0/0", "10.0.0.9")) == {
        "203.0.113.0/24", "0.0.0.0/0 by 10.0.0.9", "::/0 by 2001:db8::1"}
