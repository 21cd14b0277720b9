"""Subnets took a host route twice, an address named twice was taken for one in use, and any word for a kind of NIC."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.network_rest import Api

ADMIN = "demo:admin,member,reader"


@pytest.fixture(scope="module")
def network_id(network_api: Api) -> str:
    network = network_api.make("network", "networks", name="n")
    network_api.make("subnet", "subnets", network_id=network["id"], cidr="10.0.0.0/24", ip_version=4)
    return str(network["id"])


@pytest.mark.parametrize("second", ["10.9.0.0/16", "10.9.0.7/16"])
def test_a_host_route_is_named_once(network_api: Api, network_id: str, second: str) -> None:
    routes = [{"destination": destination, "nexthop": "10.0.0.9"} for destination in ("10.9.0.0/16", second)]
    subnet = network_api.make("subnet", "subnets", network_id=network_id, cidr="10.1.0.0/24", ip_version=4)
    network_api.refused("PUT", f"/v2.0/subnets/{subnet['id']}", {"subnet": {"host_routes": routes}}, 400,
                        "InvalidInput")
    network_api.call("DELETE", f"/v2.0/subnets/{subnet['id']}", status=204)
    network_api.refused("POST", "/v2.0/subnets", {"subnet": {
        "network_id": network_id, "cidr": "10.1.0.0/24", "ip_version": 4, "host_routes": routes}}, 400, "InvalidInput")
    routes[1]["nexthop"] = "10.0.0.10"
    made = network_api.make("subnet", "subnets", network_id=network_id, cidr="10.1.0.0/24", ip_version=4,
                            host_routes=routes)
    network_api.call("DELETE", f"/v2.0/subnets/{made['id']}", status=204)


def test_an_address_is_named_once(network_api: Api, network_id: str) -> None:
    twice = {"fixed_ips": [{"ip_address": "10.0.0.7"}, {"ip_address": "10.0.0.7"}]}
    network_api.refused("POST", "/v2.0/ports", {"port": {"network_id": network_id, **twice}}, 400, "InvalidInput")
    port = network_api.make("port", "ports", network_id=network_id)
    network_api.refused("PUT", f"/v2.0/ports/{port['id']}", {"port": twice}, 400, "InvalidInput")


@pytest.mark.parametrize("kind, status", [("bogus", 400), ("", 400), ("Normal", 400), ("direct", 501), ("vdpa", 501)])
def test_kinds_of_nics_are_known(network_api: Api, network_id: str, kind: str, status: int) -> None:
    body: dict[str, Any] = {"port": {"network_id": network_id, "binding:vnic_type": kind}}
    network_api.call("POST", "/v2.0/ports", body, token=ADMIN, status=status)
