"""A gateway on an external network without subnets was refused, and subnets made later gave gateways no address.

The reference makes the gateway without an address, and one comes with the first subnet of each IP version.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for
from tests.harness.router_calls import N, gate, join, made, net, put


@pytest.fixture
def outside(client: Client) -> str:
    return str(made(client, "network", name="outside", **{"router:external": True})["id"])


@pytest.fixture
def router(client: Client, outside: str) -> str:
    """A router whose gateway has no address yet."""
    router = str(made(client, "router", name="r")["id"])
    shown = gate(client, router, outside)
    assert shown.status_code == 200, shown.text
    assert shown.json()["router"]["external_gateway_info"] == {
        "network_id": outside, "enable_snat": True, "external_fixed_ips": []}
    return router


def _addresses(client: Client, router: str) -> list[str]:
    info = client.get(f"{N}/routers/{router}").json()["router"]["external_gateway_info"]
    return [one["subnet_id"] for one in info["external_fixed_ips"]]


def _subnet(client: Client, network: str, cidr: str, **values: Any) -> str:
    version = 6 if ":" in cidr else 4
    return str(made(client, "subnet", network_id=network, ip_version=version, cidr=cidr, **values)["id"])


def test_the_first_subnet_of_each_version_gives_an_address(client: Client, outside: str, router: str) -> None:
    first = _subnet(client, outside, "203.0.113.0/24")
    assert _addresses(client, router) == [first]
    _subnet(client, outside, "198.51.100.0/24")
    assert _addresses(client, router) == [first]
    sixth = _subnet(client, outside, "2001:db8::/64")
    assert sorted(_addresses(client, router)) == sorted([first, sixth])
    assert client.delete(f"{N}/routers/{router}").status_code == 204


def test_what_names_an_address_or_needs_one_is_refused(client: Client, outside: str, router: str) -> None:
    named = {"network_id": outside, "external_fixed_ips": [{"ip_address": "203.0.113.9"}]}
    assert put(client, f"routers/{router}", {"router": {"external_gateway_info": named}}).status_code == 400
    floating = client.post(f"{N}/floatingips", {"floatingip": {"floating_network_id": outside}})
    assert floating.status_code == 400, floating.text
    assert _addresses(client, router) == []
    assert gate(client, router, None).json()["router"]["external_gateway_info"] is None


def test_a_router_that_cannot_have_one_holds_nobody_up(client: Client, outside: str, router: str) -> None:
    other = str(made(client, "router", name="other")["id"])
    assert gate(client, other, outside).status_code == 200
    _network, inside = net(client, "203.0.113.0/25")
    assert join(client, router, inside).status_code == 200
    overlapping = _subnet(client, outside, "203.0.113.0/24")
    assert _addresses(client, router) == []
    assert _addresses(client, other) == [overlapping]


def test_hosts_hear_of_the_address(cloud: Cloud, client: Client, image: str, outside: str, router: str) -> None:
    network, inside = net(client, "10.41.0.0/24")
    join(client, router, inside).raise_for_status()
    server = client.create_server(image, networks=[{"uuid": network}])
    client.wait_server(server, "ACTIVE")
    port = client.get(f"{N}/ports?device_id={server}").json()["ports"][0]["id"]
    agent = cloud.agents[(client.show(server) or {})["OS-EXT-SRV-ATTR:host"]]

    def told() -> Any:
        return agent.tools.network.plugged[port].network.routers[0]

    assert told().gateway is None
    _subnet(client, outside, "203.0.113.0/24")
    wait_for(lambda: told().gateway is not None and len(told().outside) == 1, "the gateway", 30)
    client.delete(f"/compute/v2.1/servers/{server}").raise_for_status()
    client.wait_gone(server)
