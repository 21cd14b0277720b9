"""Addresses that the gateways of routers get when their external network gets a subnet."""

from __future__ import annotations

import pytest

from tests.harness.network_core import Cloud, Statements
from tests.harness.network_rest import ADMIN, Api


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def gates(api: Api, count: int) -> tuple[str, list[str]]:
    """Return an external network without subnets, and routers with gateways there."""
    network = str(api.make("network", "networks", ADMIN, name=f"outside{count}", **{"router:external": True})["id"])
    return network, [str(api.make("router", "routers", name="r", external_gateway_info={"network_id": network})["id"])
                     for _ in range(count)]


def addresses(api: Api, router: str) -> list[str]:
    shown = api.call("GET", f"/v2.0/routers/{router}")["router"]["external_gateway_info"]["external_fixed_ips"]
    return [one["ip_address"] for one in shown]


def inside(api: Api, router: str, cidr: str) -> None:
    network = api.make("network", "networks")["id"]
    subnet = api.make("subnet", "subnets", network_id=network, ip_version=4, cidr=cidr)["id"]
    api.call("PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})


def subnet(api: Api, network: str, cidr: str) -> None:
    api.make("subnet", "subnets", ADMIN, network_id=network, ip_version=4, cidr=cidr, enable_dhcp=False)


def test_as_many_get_one_as_there_are_and_those_with_the_same_addresses_inside_get_none(api: Api) -> None:
    network, routers = gates(api, 5)
    inside(api, routers[0], "203.0.113.0/24")
    subnet(api, network, "203.0.113.0/29")
    given = [addresses(api, router) for router in routers]
    assert given[0] == [] and all(len(one) == 1 for one in given[1:]) and len({str(one) for one in given[1:]}) == 4
    network, routers = gates(api, 3)
    subnet(api, network, "198.51.100.0/30")
    assert sorted(len(addresses(api, router)) for router in routers) == [0, 0, 1]


def test_addresses_cost_the_same_statements_for_any_number(api: Api, statements: Statements) -> None:
    costs = []
    for count, cidr in ((1, "203.0.113.0/24"), (9, "198.51.100.0/24")):
        network, routers = gates(api, count)
        statements.texts.clear()
        subnet(api, network, cidr)
        costs.append(sum("fixed_ips" in text and text.startswith("INSERT") for text in statements.texts))
        assert all(addresses(api, router) for router in routers)
    assert costs == [1, 1]
