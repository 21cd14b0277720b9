"""Subnet pools and address scopes: blocks, lengths, quotas, defaults, sharing, and what is refused with the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import ids
from tests.harness.network_core import DEMO, OTHER, Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api

POOLS, SCOPES, SUBNETS = "/v2.0/subnetpools", "/v2.0/address-scopes", "/v2.0/subnets"


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def pool_of(api: Api, *prefixes: str, **values: Any) -> dict[str, Any]:
    return api.make("subnetpool", "subnetpools", **{"name": "pool", "prefixes": list(prefixes or ("10.0.0.0/16",)),
                                                    **values})


def subnet_of(api: Api, network_id: str, **values: Any) -> dict[str, Any]:
    return api.make("subnet", "subnets", **{"network_id": network_id, "ip_version": 4, **values})


def test_a_pool_is_made_shown_changed_and_deleted(api: Api) -> None:
    made = pool_of(api, "10.1.0.0/16", "10.0.0.0/16", "192.168.0.7/24", description="ours")
    assert made["prefixes"] == ["10.0.0.0/15", "192.168.0.0/24"] and made["ip_version"] == 4
    assert (made["min_prefixlen"], made["default_prefixlen"], made["max_prefixlen"]) == ("8", "8", "32")
    assert (made["default_quota"], made["is_default"], made["shared"], made["address_scope_id"]) == (
        None, False, False, None)
    path = f"{POOLS}/{made['id']}"
    assert api.call("GET", path)["subnetpool"] == made
    changed = api.call("PUT", path, {"subnetpool": {
        "name": "p", "prefixes": ["10.0.0.0/8", "192.168.0.0/24"], "min_prefixlen": 16, "default_prefixlen": "24",
        "default_quota": 512}})["subnetpool"]
    assert changed["prefixes"] == ["10.0.0.0/8", "192.168.0.0/24"] and changed["revision_number"] == 2
    assert (changed["min_prefixlen"], changed["default_prefixlen"], changed["default_quota"]) == ("16", "24", 512)
    assert api.call("PUT", f"{path}/tags", {"tags": ["red"]})["tags"] == ["red"]
    assert [item["id"] for item in api.call("GET", f"{POOLS}?tags=red&ip_version=4&default_quota=512")[
        "subnetpools"]] == [made["id"]]
    assert api.call("GET", f"{POOLS}?is_default=true")["subnetpools"] == []
    api.call("DELETE", path, status=204)
    api.refused("GET", path, None, 404, "SubnetPoolNotFound")


@pytest.mark.parametrize(("values", "kind"), [
    ({"prefixes": []}, "HTTPBadRequest"), ({"prefixes": ["x"]}, "InvalidInput"),
    ({"prefixes": ["10.0.0.1"]}, "InvalidInput"),
    ({"prefixes": ["10.0.0.0/8", "2001:db8::/32"]}, "HTTPBadRequest"), ({"min_prefixlen": 1}, "HTTPBadRequest"),
    ({"max_prefixlen": 33}, "HTTPBadRequest"), ({"min_prefixlen": 25, "max_prefixlen": 24}, "HTTPBadRequest"),
    ({"default_prefixlen": 7}, "HTTPBadRequest"), ({"max_prefixlen": 24, "default_prefixlen": 25}, "HTTPBadRequest"),
    ({"default_quota": -1}, "InvalidInput"), ({"name": None}, "InvalidInput"), ({"ip_version": 4}, "HTTPBadRequest")])
def test_what_no_pool_is(api: Api, values: dict[str, Any], kind: str) -> None:
    api.refused("POST", POOLS, {"subnetpool": {"name": "x", "prefixes": ["10.0.0.0/8"], **values}}, 400, kind)


def test_subnets_get_their_blocks_from_a_pool(api: Api, cloud: Cloud) -> None:
    pool = pool_of(api, "10.0.0.0/24", default_prefixlen=26, min_prefixlen=25)
    network = cloud.network(None)
    first = subnet_of(api, network, subnetpool_id=pool["id"])
    assert (first["cidr"], first["gateway_ip"], first["subnetpool_id"]) == ("10.0.0.0/26", "10.0.0.1", pool["id"])
    second = subnet_of(api, network, subnetpool_id=pool["id"], prefixlen=27)
    named = subnet_of(api, network, subnetpool_id=pool["id"], cidr="10.0.0.128/25", gateway_ip="10.0.0.254")
    assert (second["cidr"], named["cidr"]) == ("10.0.0.64/27", "10.0.0.128/25")

    def refused(status: int, kind: str, **values: Any) -> str:
        return api.refused("POST", SUBNETS, {"subnet": {
            "network_id": network, "ip_version": 4, "subnetpool_id": pool["id"], **values}}, status, kind)

    message = refused(409, "SubnetAllocationError")
    assert "subnet size /26" in message and "224 of 256 addresses" in message
    assert "10.0.0.64/28" in refused(409, "SubnetAllocationError", cidr="10.0.0.64/28")
    assert "minimum allowed prefix is 25" in refused(400, "HTTPBadRequest", prefixlen=24)
    refused(400, "HTTPBadRequest", prefixlen=33)
    refused(400, "HTTPBadRequest", prefixlen=27, cidr="10.0.0.96/27")
    refused(400, "HTTPBadRequest", gateway_ip="10.0.0.97")
    refused(400, "HTTPBadRequest", allocation_pools=[{"start": "10.0.0.97", "end": "10.0.0.98"}])
    refused(400, "HTTPBadRequest", ip_version=6)
    refused(404, "SubnetPoolNotFound", subnetpool_id=ids.new_id())
    refused(400, "InvalidInput", subnetpool_id="x")
    refused(501, "NotImplementedError", subnetpool_id="prefix_delegation")
    refused(409, "SubnetAllocationError", cidr="172.16.0.0/26")
    api.refused("POST", SUBNETS, {"subnet": {"network_id": network, "ip_version": 4, "prefixlen": 26}}, 400,
                "HTTPBadRequest")
    message = api.refused("DELETE", f"{POOLS}/{pool['id']}", None, 400, "HTTPBadRequest")
    assert "existing allocations" in message
    assert len(api.call("GET", f"{SUBNETS}?subnetpool_id={pool['id']}")["subnets"]) == 3
    assert api.call("GET", f"{SUBNETS}?subnetpool_id={ids.new_id()}")["subnets"] == []
    api.call("DELETE", f"{SUBNETS}/{first['id']}", status=204)  # its block is free again
    assert subnet_of(api, network, subnetpool_id=pool["id"])["cidr"] == "10.0.0.0/26"


def test_a_projects_share_of_a_pool(api: Api, cloud: Cloud) -> None:
    pool = pool_of(api, default_prefixlen=24, default_quota=300, shared=True, token=ADMIN)
    network = cloud.network(None)
    subnet_of(api, network, subnetpool_id=pool["id"])
    body = {"subnet": {"network_id": network, "ip_version": 4, "subnetpool_id": pool["id"]}}
    message = api.refused("POST", SUBNETS, body, 409, "SubnetPoolQuotaExceeded")
    assert "Requested 256, but already used 256 of 300" in message
    body["subnet"]["network_id"] = cloud.network(None, OTHER)
    assert api.call("POST", SUBNETS, body, token=OTHERS, status=201)["subnet"]["cidr"] == "10.0.1.0/24"


def test_the_default_pool(api: Api, cloud: Cloud) -> None:
    network = cloud.network(None)
    body = {"subnet": {"network_id": network, "ip_version": 4, "use_default_subnetpool": True}}
    api.refused("POST", SUBNETS, body, 400, "HTTPBadRequest")
    api.refused("POST", POOLS, {"subnetpool": {"name": "x", "prefixes": ["10.0.0.0/8"], "is_default": True}}, 403,
                "PolicyNotAuthorized")
    pool = pool_of(api, default_prefixlen=24, is_default=True, token=ADMIN)
    assert pool["is_default"] is True
    assert api.call("POST", SUBNETS, body, status=201)["subnet"]["subnetpool_id"] == pool["id"]
    api.refused("POST", POOLS, {"subnetpool": {"name": "x", "prefixes": ["10.0.0.0/8"], "is_default": True}}, 400,
                "InvalidInput", token=ADMIN)
    v6 = pool_of(api, "2001:db8::/48", is_default=True, token=ADMIN)
    assert (v6["ip_version"], v6["min_prefixlen"], v6["default_prefixlen"]) == (6, "64", "64")
    api.call("PUT", f"{POOLS}/{pool['id']}", {"subnetpool": {"is_default": False}}, token=ADMIN)
    api.refused("POST", SUBNETS, body, 400, "HTTPBadRequest")


def test_pools_of_a_scope_do_not_overlap(api: Api, cloud: Cloud) -> None:
    scope = api.make("address_scope", "address-scopes", name="s", ip_version=4)
    assert scope == {"id": scope["id"], "name": "s", "ip_version": 4, "shared": False, "project_id": ids.bare(DEMO),
                     "tenant_id": ids.bare(DEMO)}
    first = pool_of(api, "10.0.0.0/16", address_scope_id=scope["id"], default_prefixlen=24)
    second = pool_of(api, "10.1.0.0/16", address_scope_id=scope["id"], default_prefixlen=24)
    body = {"subnetpool": {"name": "x", "prefixes": ["10.0.1.0/24"], "address_scope_id": scope["id"]}}
    api.refused("POST", POOLS, body, 409, "AddressScopePrefixConflict")
    api.refused("PUT", f"{POOLS}/{first['id']}", {"subnetpool": {"prefixes": ["10.0.0.0/8"]}}, 409,
                "AddressScopePrefixConflict")
    api.refused("PUT", f"{POOLS}/{first['id']}", {"subnetpool": {"prefixes": ["10.2.0.0/16"]}}, 400, "HTTPBadRequest")
    body["subnetpool"]["prefixes"] = ["2001:db8::/32"]
    api.refused("POST", POOLS, body, 400, "HTTPBadRequest")
    api.refused("DELETE", f"{SCOPES}/{scope['id']}", None, 409, "AddressScopeInUse")
    network = cloud.network(None)
    for pool in (first, second):  # of one scope: they may be on one network
        subnet_of(api, network, subnetpool_id=pool["id"])
    shown = api.call("GET", f"/v2.0/networks/{network}")["network"]
    assert (shown["ipv4_address_scope"], shown["ipv6_address_scope"]) == (scope["id"], None)
    other = pool_of(api, "10.9.0.0/16", default_prefixlen=24)
    api.refused("POST", SUBNETS, {"subnet": {"network_id": network, "ip_version": 4, "subnetpool_id": other["id"]}},
                400, "HTTPBadRequest")
    assert api.call("PUT", f"{POOLS}/{second['id']}", {"subnetpool": {"address_scope_id": None}})["subnetpool"][
        "address_scope_id"] is None
    empty = api.make("address_scope", "address-scopes", name="t", ip_version=6)
    assert api.call("PUT", f"{SCOPES}/{empty['id']}", {"address_scope": {"name": "u"}})["address_scope"]["name"] == "u"
    assert [item["name"] for item in api.call("GET", f"{SCOPES}?ip_version=6")["address_scopes"]] == ["u"]
    api.call("DELETE", f"{SCOPES}/{empty['id']}", status=204)


def test_what_is_shared_and_what_is_foreign(api: Api, cloud: Cloud) -> None:
    scope = api.make("address_scope", "address-scopes", name="s", ip_version=4)
    pool = pool_of(api, address_scope_id=scope["id"], default_prefixlen=24)
    for path, kind in ((f"{POOLS}/{pool['id']}", "SubnetPoolNotFound"),
                       (f"{SCOPES}/{scope['id']}", "AddressScopeNotFound")):
        for method, body in (("GET", None), ("DELETE", None)):
            api.refused(method, path, body, 404, kind, token=OTHERS)
    theirs = {"name": "x", "prefixes": ["10.5.0.0/16"], "address_scope_id": scope["id"]}
    api.refused("POST", POOLS, {"subnetpool": theirs}, 404, "AddressScopeNotFound", token=OTHERS)
    subnet = {"network_id": cloud.network(None, OTHER), "ip_version": 4, "subnetpool_id": pool["id"]}
    api.refused("POST", SUBNETS, {"subnet": subnet}, 404, "SubnetPoolNotFound", token=OTHERS)
    policies = [api.make("rbac_policy", "rbac-policies", object_type=kind, object_id=row["id"], target_tenant=OTHER,
                         action="access_as_shared")
                for kind, row in (("address_scope", scope), ("subnetpool", pool))]
    assert api.call("GET", f"{POOLS}?shared=true", token=OTHERS)["subnetpools"][0]["shared"] is True
    api.make("subnetpool", "subnetpools", token=OTHERS, **theirs)
    api.make("subnet", "subnets", token=OTHERS, **subnet)
    for policy in policies:
        api.refused("DELETE", f"/v2.0/rbac-policies/{policy['id']}", None, 409, "RbacPolicyInUse")
    api.refused("PUT", f"{POOLS}/{pool['id']}", {"subnetpool": {"name": "taken"}}, 403, "PolicyNotAuthorized",
                token=OTHERS)


def test_quotas_of_pools_and_scopes(api: Api, cloud: Cloud) -> None:
    cloud.conf.set_override("subnetpools", 1, "quota")
    cloud.conf.set_override("address_scopes", 0, "quota")
    pool_of(api)
    assert "['subnetpool']" in api.refused("POST", POOLS, {"subnetpool": {"name": "x", "prefixes": ["10.0.0.0/8"]}},
                                           409, "OverQuota")
    api.refused("POST", SCOPES, {"address_scope": {"name": "x", "ip_version": 4}}, 409, "OverQuota")
    assert api.call("GET", f"/v2.0/quotas/{DEMO}/details")["quota"]["subnetpool"]["used"] == 1
