"""Auto-allocated topologies: made once for a project, from the default pools and the default external network."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Network, Port, Router, Subnet
from tests.harness.network_core import DEMO, OTHER, Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api

PATH = f"/v2.0/auto-allocated-topology/{DEMO}"
READER = "demo:reader"


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


@pytest.fixture
def outside(api: Api) -> dict[str, Any]:
    """Return the default external network."""
    network = api.make("network", "networks", ADMIN, **{
        "name": "outside", "router:external": True, "is_default": True, "project_id": OTHER})
    api.make("subnet", "subnets", ADMIN, network_id=network["id"], ip_version=4, cidr="203.0.113.0/29")
    return network


def pool(api: Api, prefix: str = "10.64.0.0/24", **values: Any) -> dict[str, Any]:
    return api.make("subnetpool", "subnetpools", ADMIN, **{
        "name": "default", "prefixes": [prefix], "default_prefixlen": 26, "is_default": True, "shared": True, **values})


def rows(cloud: Cloud, model: Any) -> int:
    with cloud.db.reading() as session:
        return int(session.scalar(sa.select(sa.func.count()).select_from(model)) or 0)


def test_a_topology_is_made_once_and_deleted_as_a_whole(api: Api, cloud: Cloud, outside: dict[str, Any]) -> None:
    pool(api)
    pool(api, "2001:db8::/48", default_prefixlen=64)
    before = [rows(cloud, model) for model in (Network, Subnet, Router, Port)]
    made = api.call("GET", PATH)["auto_allocated_topology"]
    assert made["project_id"] == made["tenant_id"] == ids.bare(DEMO)
    assert api.call("GET", PATH)["auto_allocated_topology"] == made
    assert api.call("GET", "/v2.0/auto-allocated-topology/None")["auto_allocated_topology"] == made
    assert api.call("GET", PATH, token=READER)["auto_allocated_topology"] == made
    network = api.call("GET", f"/v2.0/networks/{made['id']}")["network"]
    assert (network["name"], network["admin_state_up"], network["shared"]) == ("auto_allocated_network", True, False)
    subnets = api.call("GET", "/v2.0/subnets", params={"network_id": made["id"]})["subnets"]
    assert sorted((item["name"], item["cidr"]) for item in subnets) == [
        ("auto_allocated_subnet_v4", "10.64.0.0/26"), ("auto_allocated_subnet_v6", "2001:db8::/64")]
    [router] = api.call("GET", "/v2.0/routers")["routers"]
    assert router["name"] == "auto_allocated_router"
    assert router["external_gateway_info"]["network_id"] == outside["id"]
    ports = api.call("GET", "/v2.0/ports", params={"device_id": router["id"], "network_id": made["id"]})["ports"]
    assert {item["subnet_id"] for port in ports for item in port["fixed_ips"]} == {item["id"] for item in subnets}
    api.call("DELETE", PATH, status=204)
    assert [rows(cloud, model) for model in (Network, Subnet, Router, Port)] == before
    api.call("DELETE", PATH, status=204)
    assert api.call("GET", PATH)["auto_allocated_topology"]["id"] != made["id"]


def test_what_is_missing_is_said_and_a_dry_run_makes_nothing(api: Api, cloud: Cloud) -> None:
    before = rows(cloud, Network)

    def refused() -> set[str]:
        return {api.refused("GET", PATH + query, None, 409, "AutoAllocationFailure")
                for query in ("?fields=dry-run", "")}

    assert refused() == {"Deployment error: No default router:external network."}
    network = api.make("network", "networks", ADMIN, **{"name": "out", "router:external": True})
    api.call("PUT", f"/v2.0/networks/{network['id']}", {"network": {"is_default": True}}, token=ADMIN)
    assert refused() == {"Deployment error: No default subnetpools defined."}
    own = pool(api, shared=False, project_id=OTHER)
    assert refused() == {"Deployment error: No default subnetpools defined."}
    api.call("DELETE", f"/v2.0/subnetpools/{own['id']}", token=ADMIN, status=204)
    pool(api)
    assert api.call("GET", f"{PATH}?fields=dry-run")["auto_allocated_topology"]["id"] == "dry-run=pass"
    assert rows(cloud, Network) == before + 1
    api.refused("GET", f"{PATH}?fields=id", None, 400, "HTTPBadRequest")


def test_a_block_that_overlaps_with_the_outside_is_refused(api: Api, cloud: Cloud, outside: dict[str, Any]) -> None:
    pool(api, "203.0.113.0/24")
    before = rows(cloud, Network)
    assert "external connectivity" in api.refused("GET", PATH, None, 409, "AutoAllocationFailure")
    assert rows(cloud, Network) == before


def test_what_is_used_up_is_said_with_the_numbers(api: Api, cloud: Cloud, outside: dict[str, Any]) -> None:
    pool(api, default_prefixlen=24)
    taken = cloud.network(None)
    api.make("subnet", "subnets", network_id=taken, ip_version=4, use_default_subnetpool=True)
    message = api.refused("GET", PATH, None, 409, "SubnetAllocationError")
    assert "256 of 256 addresses of the pool are in use" in message
    pool(api, "2001:db8::/48", default_prefixlen=64)
    cloud.conf.set_override("routers", 0, "quota")
    networks = rows(cloud, Network)
    api.call("DELETE", f"/v2.0/networks/{taken}", status=204)
    api.refused("GET", PATH, None, 409, "OverQuota")
    assert (rows(cloud, Network), rows(cloud, Router)) == (networks - 1, 0)


def test_whose_topology_it_is(api: Api, cloud: Cloud, outside: dict[str, Any]) -> None:
    pool(api)
    message = api.refused("GET", PATH, None, 403, "PolicyNotAuthorized", token=READER)
    assert "create_network" in message  # what a reader looks for is not made
    for method in ("GET", "DELETE"):
        api.refused(method, PATH, None, 403, "PolicyNotAuthorized", token=OTHERS)
        api.refused(method, "/v2.0/auto-allocated-topology/x", None, 403, "PolicyNotAuthorized")
        api.refused(method, "/v2.0/auto-allocated-topology/x", None, 404, "HTTPNotFound", token=ADMIN)
        api.refused(method, f"/v2.0/auto-allocated-topology/{ids.new_id()}", None, 404, "HTTPNotFound", token=ADMIN)
    theirs = api.call("GET", f"/v2.0/auto-allocated-topology/{OTHER}", token=ADMIN)["auto_allocated_topology"]
    assert theirs["project_id"] == ids.bare(OTHER)
    assert api.call("GET", f"/v2.0/networks/{theirs['id']}", token=OTHERS)["network"]["project_id"] == ids.bare(OTHER)
    assert [item["name"] for item in api.call("GET", "/v2.0/routers", token=OTHERS)["routers"]] == [
        "auto_allocated_router"]
    api.refused("DELETE", f"/v2.0/auto-allocated-topology/{OTHER}", None, 403, "PolicyNotAuthorized", token=READER)


def test_a_topology_in_use_stays_whole(api: Api, cloud: Cloud, outside: dict[str, Any]) -> None:
    pool(api)
    made = api.call("GET", PATH)["auto_allocated_topology"]
    port = api.make("port", "ports", network_id=made["id"])
    api.refused("DELETE", PATH, None, 409, "NetworkInUse")
    [router] = api.call("GET", "/v2.0/routers")["routers"]
    assert router["external_gateway_info"] is not None
    api.call("DELETE", f"/v2.0/ports/{port['id']}", status=204)
    other = api.make("subnet", "subnets", network_id=cloud.network(None), ip_version=4, cidr="10.9.0.0/24")
    api.call("PUT", f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": other["id"]})
    api.refused("DELETE", PATH, None, 409, "RouterInUse")
    assert api.call("GET", PATH)["auto_allocated_topology"] == made


def test_parts_that_their_owner_deleted(api: Api, cloud: Cloud, outside: dict[str, Any]) -> None:
    pool(api)
    first = api.call("GET", PATH)["auto_allocated_topology"]["id"]
    [router] = api.call("GET", "/v2.0/routers")["routers"]
    [subnet] = api.call("GET", "/v2.0/subnets", params={"network_id": first})["subnets"]
    api.call("PUT", f"/v2.0/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]})
    api.call("DELETE", f"/v2.0/networks/{first}", status=204)
    second = api.call("GET", PATH)["auto_allocated_topology"]["id"]
    assert second != first and rows(cloud, Router) == 2
    [new] = [item for item in api.call("GET", "/v2.0/routers")["routers"] if item["id"] != router["id"]]
    [subnet] = api.call("GET", "/v2.0/subnets", params={"network_id": second})["subnets"]
    api.call("PUT", f"/v2.0/routers/{new['id']}/remove_router_interface", {"subnet_id": subnet["id"]})
    api.call("DELETE", f"/v2.0/routers/{new['id']}", status=204)
    assert api.call("GET", PATH)["auto_allocated_topology"]["id"] == second
    api.call("DELETE", PATH, status=204)
    assert rows(cloud, Router) == 1


def test_one_external_network_is_the_default(api: Api, outside: dict[str, Any]) -> None:
    values = {"name": "x", "router:external": True, "is_default": True}
    message = api.refused("POST", "/v2.0/networks", {"network": values}, 409, "DefaultExternalNetworkExists",
                          token=ADMIN)
    assert outside["id"] in message
    other = api.make("network", "networks", ADMIN, name="x", is_default=True)
    for change in ({"router:external": True}, {"router:external": True, "is_default": True}):
        api.refused("PUT", f"/v2.0/networks/{other['id']}", {"network": change}, 409, "DefaultExternalNetworkExists",
                    token=ADMIN)
    same = api.call("PUT", f"/v2.0/networks/{outside['id']}", {"network": {"is_default": True}}, token=ADMIN)
    assert same["network"]["is_default"] is True
    api.call("PUT", f"/v2.0/networks/{outside['id']}", {"network": {"is_default": False}}, token=ADMIN)
    api.call("PUT", f"/v2.0/networks/{other['id']}", {"network": {"router:external": True}}, token=ADMIN)
