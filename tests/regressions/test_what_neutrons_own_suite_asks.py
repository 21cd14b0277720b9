"""What the API tests of neutron-tempest-plugin found: each is as the reference does it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from hostler import ids
from hostler.db.models import Project
from tests.harness.network_core import DEMO, OTHER
from tests.harness.network_rest import ADMIN, OTHERS, Api, external_network, network_with_subnet

GROUPS, PORTS, RBAC = "/v2.0/security-groups", "/v2.0/ports", "/v2.0/rbac-policies"


def _routed_port(api: Api) -> tuple[str, str]:
    """Return an external network and a port on a network that a router joins to it."""
    network, subnet = network_with_subnet(api, "10.0.0.0/24")
    outside, _ = external_network(api)
    router = api.make("router", "routers", name="r", external_gateway_info={"network_id": outside})["id"]
    api.call("PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    return outside, api.make("port", "ports", network_id=network)["id"]


def test_prefix_lengths_of_subnet_pools_are_text(network_api: Api) -> None:
    pool = network_api.make("subnetpool", "subnetpools", name="p", prefixes=["10.128.0.0/16"], min_prefixlen=26,
                            default_prefixlen="27", max_prefixlen=28)
    assert [pool[f"{which}_prefixlen"] for which in ("min", "default", "max")] == ["26", "27", "28"]
    network_api.call("DELETE", f"/v2.0/subnetpools/{pool['id']}", status=204)


def test_the_owner_of_a_network_deletes_others_ports_there(network_api: Api) -> None:
    network, _ = network_with_subnet(network_api, "10.0.0.0/24")
    network_api.make("rbac_policy", "rbac-policies", object_type="network", object_id=network,
                     action="access_as_shared", target_tenant=network_api.call(
                         "GET", "/v2.0/security-groups", token=OTHERS)["security_groups"][0]["project_id"])
    guest, own = (network_api.make("port", "ports", token=token, network_id=network)["id"]
                  for token in (OTHERS, "demo:member,reader"))
    network_api.call("DELETE", f"{PORTS}/{own}", token=OTHERS, status=404)
    network_api.call("DELETE", f"{PORTS}/{guest}", token="demo:reader", status=403)
    network_api.call("DELETE", f"{PORTS}/{guest}", status=204)


def test_an_empty_change_lets_a_floating_ip_lead_nowhere(network_api: Api) -> None:
    outside, port = _routed_port(network_api)
    floating = network_api.make("floatingip", "floatingips", floating_network_id=outside, port_id=port)["id"]
    path = f"/v2.0/floatingips/{floating}"
    kept = network_api.call("PUT", path, {"floatingip": {"description": "d"}})["floatingip"]
    assert kept["port_id"] == port
    assert network_api.call("PUT", path, {"floatingip": {}})["floatingip"]["port_id"] is None


def test_a_floating_ip_does_not_lead_to_another_projects_port(network_api: Api) -> None:
    outside, own = _routed_port(network_api)
    network = network_api.call("GET", f"{PORTS}/{own}")["port"]["network_id"]
    other = network_api.make("port", "ports", token=ADMIN, network_id=network, project_id=network_api.call(
        "GET", GROUPS, token=OTHERS)["security_groups"][0]["project_id"])["id"]
    floating = network_api.make("floatingip", "floatingips", floating_network_id=outside)["id"]
    said = network_api.refused("PUT", f"/v2.0/floatingips/{floating}", {"floatingip": {"port_id": other}}, 400,
                               "HTTPBadRequest")
    assert "different project" in said


def test_a_group_is_named_once_for_a_port(network_api: Api) -> None:
    network, _ = network_with_subnet(network_api, "10.0.0.0/24")
    group = network_api.make("security_group", "security-groups", name="g")["id"]
    body = {"port": {"network_id": network, "security_groups": [group, group]}}
    network_api.refused("POST", PORTS, body, 400, "InvalidInput")
    port = network_api.make("port", "ports", network_id=network)["id"]
    network_api.refused("PUT", f"{PORTS}/{port}", {"port": {"security_groups": [group, group]}}, 400, "InvalidInput")


@pytest.mark.parametrize(("plural", "singular"), [("security_groups", "security_group"), ("networks", "network")])
def test_items_of_a_list_may_be_wrapped(network_api: Api, plural: str, singular: str) -> None:
    path = f"/v2.0/{plural.replace('_', '-')}"
    body = {plural: [{singular: {"name": "a"}}, {"name": "b"}]}
    made = network_api.call("POST", path, body, status=201)[plural]
    assert [one["name"] for one in made] == ["a", "b"]
    for one in made:
        network_api.call("DELETE", f"{path}/{one['id']}", status=204)
    network_api.call("POST", path, {plural: [{singular: None}]}, status=400)


def test_the_first_rules_of_a_group_count_in_the_quota(network_api: Api) -> None:
    project = network_api.call("GET", GROUPS, token=OTHERS)["security_groups"][0]["project_id"]
    quota = f"/v2.0/quotas/{project}"
    used = network_api.call("GET", f"{quota}/details", token=ADMIN)["quota"]["security_group_rule"]["used"]
    network_api.call("PUT", quota, {"quota": {"security_group_rule": used + 1}}, token=ADMIN)
    before = network_api.call("GET", GROUPS, token=OTHERS)
    network_api.refused("POST", GROUPS, {"security_group": {"name": "g"}}, 409, "OverQuota", token=OTHERS)
    assert network_api.call("GET", GROUPS, token=OTHERS) == before
    network_api.call("DELETE", quota, token=ADMIN, status=204)


def test_limits_are_compared_with_what_is_used_when_asked_for(network_api: Api) -> None:
    project = network_api.call("GET", GROUPS, token=OTHERS)["security_groups"][0]["project_id"]
    quota = f"/v2.0/quotas/{project}"
    network_api.call("PUT", quota, {"quota": {"network": 7, "security_group": 0, "check_limit": True}}, token=ADMIN,
                     status=400)
    assert network_api.call("GET", quota, token=ADMIN)["quota"]["network"] != 7
    for more in ({}, {"check_limit": False}):
        network_api.call("PUT", quota, {"quota": {"security_group": 0, **more}}, token=ADMIN)
    network_api.call("PUT", quota, {"quota": {"security_group": -1, "network": 7, "check_limit": True}}, token=ADMIN)
    network_api.call("DELETE", quota, token=ADMIN, status=204)


def test_a_shared_address_scope_stays_shared(network_api: Api) -> None:
    scope = network_api.make("address_scope", "address-scopes", token=ADMIN, name="s", ip_version=4, shared=True)["id"]
    path = f"/v2.0/address-scopes/{scope}"
    network_api.refused("PUT", path, {"address_scope": {"name": "t", "shared": False}}, 400, "AddressScopeUpdateError",
                        token=ADMIN)
    shown = network_api.call("PUT", path, {"address_scope": {"name": "t", "shared": True}}, token=ADMIN)
    assert (shown["address_scope"]["name"], shown["address_scope"]["shared"]) == ("t", True)
    network_api.call("DELETE", path, token=ADMIN, status=204)


def test_a_change_of_a_subnet_is_one_of_its_network(network_api: Api) -> None:
    def revision() -> int:
        return int(network_api.call("GET", f"/v2.0/networks/{network}")["network"]["revision_number"])

    network = network_api.make("network", "networks", name="n")["id"]
    seen = [revision()]
    subnet = network_api.make("subnet", "subnets", network_id=network, cidr="10.0.0.0/24", ip_version=4)["id"]
    seen.append(revision())
    network_api.call("PUT", f"/v2.0/subnets/{subnet}", {"subnet": {"name": "other"}})
    seen.append(revision())
    network_api.call("DELETE", f"/v2.0/subnets/{subnet}", status=204)
    seen.append(revision())
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(("ports", "words"), [((256, None), "ICMP type (port-range-min) 256"),
                                              ((8, 256), "ICMP code (port-range-max) 256")])
def test_icmp_values_out_of_bounds_are_named_as_the_reference_does(
        network_api: Api, ports: tuple[int, int | None], words: str) -> None:
    group = network_api.make("security_group", "security-groups", name="g")["id"]
    body = {"security_group_rule": {"security_group_id": group, "direction": "ingress", "protocol": "icmp",
                                    "port_range_min": ports[0], "port_range_max": ports[1]}}
    said = network_api.refused("POST", "/v2.0/security-group-rules", body, 400, "SecurityGroupInvalidIcmpValue")
    assert said == f"Invalid value for {words}. It must be 0 to 255."
    network_api.call("DELETE", f"/v2.0/security-groups/{group}", status=204)


@pytest.mark.parametrize("verb", ["add", "remove"])
@pytest.mark.parametrize("name", ["subnet_id", "port_id"])
def test_a_name_is_no_id_of_what_a_router_joins(network_api: Api, verb: str, name: str) -> None:
    """It was not found; the reference refuses it, so that a mistake is not taken for something gone."""
    router = network_api.make("router", "routers", name="r")["id"]
    path = f"/v2.0/routers/{router}/{verb}_router_interface"
    assert name in network_api.refused("PUT", path, {name: "a-name"}, 400, "InvalidInput")
    network_api.call("PUT", path, {name: "0" * 32}, status=404)
    network_api.call("DELETE", f"/v2.0/routers/{router}", status=204)


def test_ipv6_needs_its_least_mtu(network_api: Api) -> None:
    small = network_api.make("network", "networks", name="small", mtu=1279)["id"]
    subnet = {"subnet": {"network_id": small, "ip_version": 6, "cidr": "2001:db8:0:1::/64"}}
    network_api.refused("POST", "/v2.0/subnets", subnet, 409, "NetworkMTUSubnetConflict")
    network_api.call("PUT", f"/v2.0/networks/{small}", {"network": {"mtu": 1280}})
    network_api.call("POST", "/v2.0/subnets", subnet, status=201)
    network_api.refused("PUT", f"/v2.0/networks/{small}", {"network": {"mtu": 1279}}, 409, "NetworkMTUSubnetConflict")


def test_a_project_has_its_default_group_when_an_administrator_lists_its_groups(network_api: Api) -> None:
    for name, spelled in itertools.product(("project_id", "tenant_id"), (str, ids.bare)):
        project = ids.new_id()
        network_api.db.write(lambda session, new=project: session.add(Project(id=new, name=new, domain_id="default")))
        query = f"?{name}={spelled(project)}&name=default"
        [group] = network_api.call("GET", GROUPS + query, token=ADMIN)["security_groups"]
        assert (group["project_id"], len(group["security_group_rules"])) == (project.replace("-", ""), 4)
    assert network_api.call("GET", f"{GROUPS}?project_id={ids.new_id()}", token=ADMIN)["security_groups"] == []


def _pool_in_shared_scope(api: Api, target: str) -> tuple[str, str]:
    """Return a scope of an administrator, shared with `target`, and the id of demo's pool in it."""
    scope = api.make("address_scope", "address-scopes", token=ADMIN, name="s", ip_version=4, project_id=OTHER)["id"]
    api.make("rbac_policy", "rbac-policies", token=ADMIN, object_type="address_scope", object_id=scope,
             action="access_as_shared", target_tenant=target)
    return scope, api.make("subnetpool", "subnetpools", name="p", prefixes=["10.128.0.0/16"],
                           address_scope_id=scope)["id"]


def test_a_pool_is_not_shared_with_who_has_no_access_to_its_scope(network_api: Api) -> None:
    scope, pool = _pool_in_shared_scope(network_api, DEMO)
    stranger = ids.new_id()
    sharing = {"object_type": "subnetpool", "object_id": pool, "action": "access_as_shared"}
    network_api.refused("POST", RBAC, {"rbac_policy": {**sharing, "target_tenant": stranger}}, 400, "HTTPBadRequest")
    network_api.refused("POST", RBAC, {"rbac_policy": {**sharing, "target_tenant": "*"}}, 400, "HTTPBadRequest",
                        token=ADMIN)
    owner = network_api.make("rbac_policy", "rbac-policies", **sharing, target_tenant=OTHER)["id"]
    network_api.refused("PUT", f"{RBAC}/{owner}", {"rbac_policy": {"target_tenant": stranger}}, 400, "HTTPBadRequest")
    network_api.make("rbac_policy", "rbac-policies", token=ADMIN, object_type="address_scope", object_id=scope,
                     action="access_as_shared", target_tenant=stranger)
    network_api.call("PUT", f"{RBAC}/{owner}", {"rbac_policy": {"target_tenant": stranger}})


def test_a_pool_in_anothers_scope_is_changed_by_administrators(network_api: Api) -> None:
    _scope, pool = _pool_in_shared_scope(network_api, "*")
    wider = {"subnetpool": {"prefixes": ["10.128.0.0/16", "10.130.0.0/16"]}}
    network_api.refused("PUT", f"/v2.0/subnetpools/{pool}", wider, 400, "HTTPBadRequest")
    network_api.call("PUT", f"/v2.0/subnetpools/{pool}", wider, token=ADMIN)


def test_only_administrators_name_another_project(network_api: Api) -> None:
    for singular, path, values in (("network", "networks", {}), ("router", "routers", {}),
                                   ("security_group", "security-groups", {"name": "g"})):
        for project in (OTHER, ids.new_id()):
            network_api.refused("POST", f"/v2.0/{path}", {singular: {**values, "project_id": project}}, 400,
                                "HTTPBadRequest")


# What refers to a row, in each body that does.
REFERENCES = [
    ("ports", "port", {"network_id": "x"}), ("ports", "port", {"security_groups": ["x"]}),
    ("ports", "port", {"fixed_ips": [{"subnet_id": "x"}]}), ("ports", "port", {"qos_policy_id": "x"}),
    ("subnets", "subnet", {"network_id": "x", "cidr": "10.9.0.0/24", "ip_version": 4}),
    ("subnets", "subnet", {"subnetpool_id": "x", "ip_version": 4}), ("networks", "network", {"qos_policy_id": "x"}),
    ("subnetpools", "subnetpool", {"name": "p", "prefixes": ["10.0.0.0/8"], "address_scope_id": "x"}),
    ("floatingips", "floatingip", {"floating_network_id": "x"}), ("floatingips", "floatingip", {"port_id": "x"}),
    ("floatingips", "floatingip", {"subnet_id": "x"}), ("routers", "router", {"external_gateway_info": {
        "network_id": "x"}}),
    ("security-group-rules", "security_group_rule", {"security_group_id": "x", "direction": "ingress"}),
    ("security-group-rules", "security_group_rule", {"remote_address_group_id": "x", "direction": "ingress"}),
    ("default-security-group-rules", "default_security_group_rule", {
        "remote_address_group_id": "x", "direction": "ingress"}),
    ("rbac-policies", "rbac_policy", {"object_type": "network", "object_id": "x", "action": "access_as_shared",
                                      "target_tenant": "*"}),
]


@pytest.mark.parametrize(("path", "singular", "values"), REFERENCES)
def test_what_refers_to_a_row_is_a_uuid(network_api: Api, path: str, singular: str, values: dict[str, Any]) -> None:
    needed = {"port": {"network_id": ids.new_id()}, "floatingip": {"floating_network_id": ids.new_id()},
              "subnet": {"network_id": network_with_subnet(network_api, "10.1.0.0/24")[0]},
              "security_group_rule": {"security_group_id": ids.new_id()}}.get(singular, {})
    network_api.refused("POST", f"/v2.0/{path}", {singular: {**needed, **values}}, 400, "InvalidInput", token=ADMIN)
