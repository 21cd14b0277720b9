"""The address of a router's interface could not be changed at its port; the reference does, on the same subnets."""

from __future__ import annotations

import pytest

from tests.harness.network_rest import Api, network_with_subnet


@pytest.fixture
def interface(network_api: Api) -> tuple[str, str, str]:
    """Return a router, the subnet that it joins, and its port there."""
    _network, subnet = network_with_subnet(network_api, "10.0.0.0/24")
    router = network_api.make("router", "routers", name="r")["id"]
    joined = network_api.call("PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    return router, subnet, joined["port_id"]


def test_another_address_of_its_subnet(network_api: Api, interface: tuple[str, str, str]) -> None:
    router, subnet, port = interface
    revision = network_api.call("GET", f"/v2.0/routers/{router}")["router"]["revision_number"]
    shown = network_api.call("PUT", f"/v2.0/ports/{port}", {"port": {
        "fixed_ips": [{"subnet_id": subnet, "ip_address": "10.0.0.77"}]}})["port"]
    assert shown["fixed_ips"] == [{"subnet_id": subnet, "ip_address": "10.0.0.77"}]
    assert network_api.call("GET", f"/v2.0/routers/{router}")["router"]["revision_number"] > revision


def test_what_is_refused(network_api: Api, interface: tuple[str, str, str]) -> None:
    router, subnet, port = interface
    network_id = network_api.call("GET", f"/v2.0/subnets/{subnet}")["subnet"]["network_id"]
    other = network_api.make("subnet", "subnets", network_id=network_id, cidr="10.5.0.0/24", ip_version=4)["id"]
    before = network_api.call("GET", f"/v2.0/ports/{port}")["port"]
    network_api.call("PUT", f"/v2.0/routers/{router}", {"router": {"routes": [
        {"destination": "10.9.0.0/24", "nexthop": "10.0.0.66"}]}})
    for fixed_ips, status in (([{"subnet_id": other}], 400), ([], 400), ([{"subnet_id": subnet}, {"subnet_id": other}],
                              400), ([{"subnet_id": subnet, "ip_address": "10.0.0.66"}], 409)):
        network_api.call("PUT", f"/v2.0/ports/{port}", {"port": {"fixed_ips": fixed_ips}}, status=status)
    assert network_api.call("GET", f"/v2.0/ports/{port}")["port"] == before
