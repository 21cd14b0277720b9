"""A port lost the address that a floating IP led to, and the floating IP led nowhere; the reference answers 400."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.network_rest import Api

ADMIN = "demo:admin,member,reader"


@pytest.fixture
def port(network_api: Api) -> dict[str, Any]:
    """A port with two addresses; a floating IP leads to the first."""
    outside = network_api.make("network", "networks", token=ADMIN, **{"router:external": True})["id"]
    network_api.make("subnet", "subnets", token=ADMIN, network_id=outside, ip_version=4, cidr="198.51.100.0/24")
    inside = network_api.make("network", "networks")["id"]
    subnet = network_api.make("subnet", "subnets", network_id=inside, ip_version=4, cidr="10.3.0.0/24")["id"]
    router = network_api.make("router", "routers", external_gateway_info={"network_id": outside})["id"]
    network_api.call("PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    made = network_api.make("port", "ports", network_id=inside, fixed_ips=[
        {"ip_address": "10.3.0.10"}, {"ip_address": "10.3.0.11"}])
    floating = network_api.make("floatingip", "floatingips", floating_network_id=outside, port_id=made["id"],
                                fixed_ip_address="10.3.0.10")
    return {**made, "floating": f"/v2.0/floatingips/{floating['id']}", "path": f"/v2.0/ports/{made['id']}"}


@pytest.mark.parametrize("left", [[], ["10.3.0.11"], ["10.3.0.11", "10.3.0.12"]])
def test_the_address_stays(network_api: Api, port: dict[str, Any], left: list[str]) -> None:
    wanted = {"port": {"fixed_ips": [{"ip_address": address} for address in left]}}
    assert "floating ip" in network_api.refused("PUT", port["path"], wanted, 400, "HTTPBadRequest")
    assert network_api.call("GET", port["path"])["port"]["fixed_ips"] == port["fixed_ips"]
    assert network_api.call("GET", port["floating"])["floatingip"]["fixed_ip_address"] == "10.3.0.10"
    network_api.call("DELETE", port["path"], status=204)
    assert network_api.call("GET", port["floating"])["floatingip"]["port_id"] is None


def test_other_addresses_come_and_go(network_api: Api, port: dict[str, Any]) -> None:
    for left in (["10.3.0.10"], ["10.3.0.10", "10.3.0.12"]):
        network_api.call("PUT", port["path"], {"port": {"fixed_ips": [{"ip_address": address} for address in left]}})
    network_api.call("PUT", port["floating"], {"floatingip": {"port_id": None}})
    network_api.call("PUT", port["path"], {"port": {"fixed_ips": []}})
    network_api.call("DELETE", port["path"], status=204)
