"""RBAC policies: what is shared with one project, what with all, and what can no longer be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import ids
from tests.harness.network_core import DEMO, OTHER, Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api

POLICIES = "/v2.0/rbac-policies"


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def share(api: Api, object_id: str, kind: str = "network", target: str = OTHER, **options: Any) -> dict[str, Any]:
    return api.make("rbac_policy", "rbac-policies", object_type=kind, object_id=object_id, target_tenant=target,
                    action="access_as_shared", **options)


def seen(api: Api, query: str = "", token: str = OTHERS, path: str = "networks") -> list[str]:
    return [item["id"] for item in api.call("GET", f"/v2.0/{path}{query}", token=token)[path.replace("-", "_")]]


def test_a_network_is_shared_with_one_project(api: Api, cloud: Cloud) -> None:
    network = api.make("network", "networks", name="mine")
    subnet = cloud.subnet(network["id"], "10.0.0.0/24")
    assert seen(api) == [] and not network["shared"]
    policy = share(api, network["id"])
    assert policy == {
        "id": policy["id"], "object_type": "network", "object_id": network["id"], "action": "access_as_shared",
        "target_tenant": ids.bare(OTHER), "project_id": ids.bare(DEMO), "tenant_id": ids.bare(DEMO)}
    assert seen(api) == [network["id"]] and seen(api, path="subnets") == [subnet]
    assert api.call("GET", f"/v2.0/networks/{network['id']}", token=OTHERS)["network"]["shared"] is True
    shown = api.call("GET", f"/v2.0/networks/{network['id']}")["network"]
    assert shown["shared"] is False and shown["revision_number"] == network["revision_number"] + 1
    assert seen(api, "?shared=true") == seen(api, "?shared=false", token=ADMIN) == [network["id"]]
    assert seen(api, "?shared=false") == seen(api, "?shared=true", token=ADMIN) == []
    assert seen(api, "?shared=true", path="subnets") == [subnet]
    port = api.make("port", "ports", token=OTHERS, network_id=network["id"])
    assert port["fixed_ips"]
    api.refused("PUT", f"/v2.0/networks/{network['id']}", {"network": {"name": "taken"}}, 403, "PolicyNotAuthorized",
                token=OTHERS)
    # What the other project uses cannot be taken from it.
    message = api.refused("DELETE", f"{POLICIES}/{policy['id']}", None, 409, "RbacPolicyInUse")
    assert network["id"] in message
    api.refused("PUT", f"{POLICIES}/{policy['id']}", {"rbac_policy": {"target_tenant": ids.new_id()}}, 409,
                "RbacPolicyInUse")
    api.call("DELETE", f"/v2.0/ports/{port['id']}", token=OTHERS, status=204)
    api.call("DELETE", f"{POLICIES}/{policy['id']}", status=204)
    assert seen(api) == []
    api.refused("GET", f"{POLICIES}/{policy['id']}", None, 404, "RbacPolicyNotFound")


def test_shared_is_a_policy_for_everybody(api: Api) -> None:
    network = api.make("network", "networks", token=ADMIN, shared=True)
    [policy] = api.call("GET", POLICIES, token=ADMIN)["rbac_policies"]
    assert (policy["target_tenant"], policy["object_id"]) == ("*", network["id"]) and network["shared"]
    port = api.make("port", "ports", token=OTHERS, network_id=network["id"])
    path = f"/v2.0/networks/{network['id']}"
    api.refused("PUT", path, {"network": {"shared": False}}, 409, "InvalidSharedSetting", token=ADMIN)
    one = share(api, network["id"])  # its users no longer depend on what everybody may
    changed = api.call("PUT", path, {"network": {"shared": False}}, token=ADMIN)["network"]
    assert changed["shared"] is False and changed["revision_number"] > network["revision_number"]
    assert [item["id"] for item in api.call("GET", POLICIES, token=ADMIN)["rbac_policies"]] == [one["id"]]
    api.call("PUT", f"{POLICIES}/{one['id']}", {"rbac_policy": {"target_tenant": "*"}}, token=ADMIN)
    assert api.call("GET", path)["network"]["shared"] is True
    api.call("DELETE", f"/v2.0/ports/{port['id']}", token=OTHERS, status=204)
    api.call("DELETE", path, status=204)
    assert api.call("GET", POLICIES, token=ADMIN)["rbac_policies"] == []


def test_a_shared_security_group(api: Api, cloud: Cloud) -> None:
    group = api.make("security_group", "security-groups", name="web")
    assert group["shared"] is False
    policy = share(api, group["id"], "security_group")
    shown = api.call("GET", f"/v2.0/security-groups/{group['id']}", token=OTHERS)["security_group"]
    assert shown["shared"] is True and len(shown["security_group_rules"]) == 2
    assert group["id"] in seen(api, "?shared=true", path="security-groups")
    assert {group["security_group_rules"][0]["id"]} <= set(seen(api, path="security-group-rules"))
    network = cloud.network("10.1.0.0/24", OTHER)
    port = api.make("port", "ports", token=OTHERS, network_id=network, security_groups=[group["id"]])
    assert port["security_groups"] == [group["id"]]
    api.refused("POST", "/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": group["id"], "direction": "ingress"}}, 403, "PolicyNotAuthorized", token=OTHERS)
    api.refused("DELETE", f"{POLICIES}/{policy['id']}", None, 409, "RbacPolicyInUse")


@pytest.mark.parametrize(("values", "status", "kind"), [
    ({"object_type": "server"}, 400, "InvalidInput"), ({"action": "access_as_owner"}, 400, "InvalidInput"),
    ({"action": "access_as_external"}, 403, "PolicyNotAuthorized"), ({"target_tenant": "x"}, 400, "InvalidInput"),
    ({"target_tenant": ""}, 400, "InvalidInput"), ({"target_tenant": "*"}, 403, "PolicyNotAuthorized"),
    ({"object_id": ids.new_id()}, 404, "NetworkNotFound"), ({"object_id": "nonsense"}, 400, "InvalidInput"),
    ({"object_type": "subnetpool", "action": "access_as_external"}, 400, "InvalidInput"),
    ({"object_type": None}, 400, "InvalidInput"), ({"shared": True}, 400, "HTTPBadRequest"),
    ({"project_id": OTHER}, 400, "HTTPBadRequest")])
def test_what_a_policy_cannot_say(api: Api, cloud: Cloud, values: dict[str, Any], status: int, kind: str) -> None:
    body = {"object_type": "network", "object_id": cloud.network(), "action": "access_as_shared",
            "target_tenant": OTHER, **values}
    api.refused("POST", POLICIES, {"rbac_policy": body}, status, kind)


def test_others_neither_share_nor_see_what_is_not_theirs(api: Api, cloud: Cloud) -> None:
    network_id = cloud.network()
    policy = share(api, network_id)
    api.refused("POST", POLICIES, {"rbac_policy": {
        "object_type": "network", "object_id": network_id, "action": "access_as_shared",
        "target_tenant": ids.new_id()}}, 400, "InvalidInput", token=OTHERS)
    for method, body in (("GET", None), ("PUT", {"rbac_policy": {"target_tenant": OTHER}}), ("DELETE", None)):
        api.refused(method, f"{POLICIES}/{policy['id']}", body, 404, "RbacPolicyNotFound", token=OTHERS)
    assert api.call("GET", POLICIES, token=OTHERS)["rbac_policies"] == []
    api.refused("PUT", f"{POLICIES}/{policy['id']}", {"rbac_policy": {"target_tenant": "*"}}, 403,
                "PolicyNotAuthorized")
    api.refused("PUT", f"{POLICIES}/{policy['id']}", {"rbac_policy": {"action": "x"}}, 400, "HTTPBadRequest")


def test_twins_quota_and_lists(api: Api, cloud: Cloud) -> None:
    network_id = cloud.network()
    policy = share(api, network_id)
    body = {"rbac_policy": {"object_type": "network", "object_id": network_id, "action": "access_as_shared",
                            "target_tenant": ids.bare(OTHER)}}
    api.refused("POST", POLICIES, body, 409, "DuplicateRbacPolicy")
    for query, count in (("target_tenant=" + OTHER, 1), ("target_tenant=*", 0), ("object_id=" + network_id, 1),
                         ("object_type=network", 1), ("action=access_as_external", 0), ("sort_key=object_id", 1)):
        assert len(api.call("GET", f"{POLICIES}?{query}")["rbac_policies"]) == count, query
    assert api.call("GET", f"{POLICIES}?fields=id")["rbac_policies"] == [{"id": policy["id"]}]
    cloud.conf.set_override("rbac_policies", 1, "quota")
    body["rbac_policy"]["target_tenant"] = ids.new_id()
    assert "'rbac_policy'" in api.refused("POST", POLICIES, body, 409, "OverQuota")
    assert api.call("GET", f"/v2.0/quotas/{DEMO}/details")["quota"]["rbac_policy"]["used"] == 1


def outside(api: Api, network_id: str, target: str, status: int = 201) -> Any:
    return api.call("POST", POLICIES, {"rbac_policy": {
        "object_type": "network", "object_id": network_id, "action": "access_as_external",
        "target_tenant": target}}, token=ADMIN, status=status)


def external(api: Api, network_id: str) -> bool:
    return bool(api.call("GET", f"/v2.0/networks/{network_id}", token=ADMIN)["network"]["router:external"])


def test_an_external_network_is_for_some_projects_alone(api: Api, cloud: Cloud) -> None:
    network_id = cloud.network("203.0.113.0/24", DEMO)
    made = outside(api, network_id, OTHER)["rbac_policy"]
    assert external(api, network_id) and network_id in seen(api, token=OTHERS)
    third = outside(api, cloud.network("198.51.100.0/24", DEMO), ids.new_id())["rbac_policy"]
    assert third["object_id"] not in seen(api, token=OTHERS), "it leads a third project outside"
    router = api.make("router", "routers", OTHERS, external_gateway_info={"network_id": network_id})
    api.refused("DELETE", f"{POLICIES}/{made['id']}", None, 409, "RbacPolicyInUse", token=ADMIN)
    api.refused("PUT", f"{POLICIES}/{made['id']}", {"rbac_policy": {"target_tenant": DEMO}}, 409, "RbacPolicyInUse",
                token=ADMIN)
    api.call("DELETE", f"/v2.0/routers/{router['id']}", token=OTHERS, status=204)
    api.call("DELETE", f"{POLICIES}/{made['id']}", token=ADMIN, status=204)
    assert not external(api, network_id) and network_id not in seen(api, token=OTHERS)


def test_what_is_external_for_everybody_says_so_beside_others(api: Api, cloud: Cloud) -> None:
    network_id = cloud.network("203.0.113.0/24", DEMO, external=True)
    assert network_id in seen(api, token=OTHERS)
    outside(api, network_id, DEMO)
    assert network_id in seen(api, token=OTHERS)
    found = api.call("GET", f"{POLICIES}?action=access_as_external", token=ADMIN)["rbac_policies"]
    [everybodys] = [one["id"] for one in found if one["target_tenant"] == "*"]
    assert len(found) == 2
    api.call("DELETE", f"{POLICIES}/{everybodys}", token=ADMIN, status=204)
    assert external(api, network_id) and network_id not in seen(api, token=OTHERS)
    api.call("PUT", f"/v2.0/networks/{network_id}", {"network": {"router:external": False}}, token=ADMIN)
    assert api.call("GET", f"{POLICIES}?action=access_as_external", token=ADMIN)["rbac_policies"] == []
    outside(api, network_id, "*")
    assert network_id in seen(api, token=OTHERS)
