"""QoS policies: their rules, what has them, defaults, sharing, and what hosts are told."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Operation, Port
from hostler.operations.kinds import network as kinds
from hostler.resources.network.port_specs import port_specs
from hostler.resources.server.specs import LimitSpec
from tests.harness.network_core import DEMO, OTHER, Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api

POLICIES = "/v2.0/qos/policies"
MANAGER = "demo:manager,member,reader"


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def policy_of(api: Api, token: str = MANAGER, **values: Any) -> dict[str, Any]:
    return api.make("policy", "qos/policies", token=token, **{"name": "q", **values})


def limit(api: Api, policy: dict[str, Any], max_kbps: Any, **values: Any) -> dict[str, Any]:
    made: dict[str, Any] = api.call("POST", f"{POLICIES}/{policy['id']}/bandwidth_limit_rules", {
        "bandwidth_limit_rule": {"max_kbps": max_kbps, **values}}, token=MANAGER, status=201)["bandwidth_limit_rule"]
    return made


def port_on_host(api: Api, cloud: Cloud, network_id: str, **values: Any) -> str:
    port_id = str(api.make("port", "ports", network_id=network_id, **values)["id"])
    server_id = cloud.server()
    cloud.db.write(lambda session: session.execute(sa.update(Port).where(Port.id == port_id).values(
        server_id=server_id, host_id=cloud.host_id)))
    return port_id


def told(cloud: Cloud, port_id: str) -> tuple[int, tuple[LimitSpec, ...]]:
    with cloud.db.reading() as session:
        [[spec]] = port_specs(session, port_ids=[port_id]).values()
    return spec.revision, spec.limits


def test_a_policy_is_made_shown_changed_and_deleted(api: Api) -> None:
    made = policy_of(api, description="ours")
    assert (made["rules"], made["shared"], made["is_default"]) == ([], False, False)
    path = f"{POLICIES}/{made['id']}"
    assert api.call("GET", path)["policy"] == made
    changed = api.call("PUT", path, {"policy": {"name": "r"}}, token=MANAGER)["policy"]
    assert (changed["name"], changed["revision_number"]) == ("r", 2)
    assert api.call("PUT", f"{path}/tags", {"tags": ["red"]}, token=MANAGER)["tags"] == ["red"]
    assert [item["id"] for item in api.call("GET", f"{POLICIES}?tags=red&name=r")["policies"]] == [made["id"]]
    api.refused("PUT", f"{path}/tags", {"tags": []}, 403, "PolicyNotAuthorized")
    api.refused("PUT", path, {"policy": {"rules": []}}, 400, "HTTPBadRequest", token=MANAGER)
    for method, body in (("POST", {"policy": {"name": "x"}}), ("PUT", {"policy": {"name": "x"}}), ("DELETE", None)):
        api.refused(method, POLICIES if method == "POST" else path, body, 403, "PolicyNotAuthorized")
    api.call("DELETE", path, token=MANAGER, status=204)
    api.refused("GET", path, None, 404, "QosPolicyNotFound")


def test_rules_of_a_policy(api: Api) -> None:
    policy = policy_of(api)
    path = f"{POLICIES}/{policy['id']}/bandwidth_limit_rules"
    out = limit(api, policy, "1000")
    assert out == {"id": out["id"], "max_kbps": 1000, "max_burst_kbps": 0, "direction": "egress"}
    into = limit(api, policy, 2000, direction="ingress", max_burst_kbps=300)
    assert api.call("GET", path)["bandwidth_limit_rules"] == [out, into]
    assert api.call("GET", f"{path}?direction=ingress&max_kbps=2000")["bandwidth_limit_rules"] == [into]
    assert api.call("GET", f"{path}?max_kbps=7")["bandwidth_limit_rules"] == []
    api.refused("GET", f"{path}?colour=red", None, 400, "InvalidInput")
    assert api.call("GET", f"{path}/{into['id']}")["bandwidth_limit_rule"] == into
    shown = api.call("GET", f"{POLICIES}/{policy['id']}")["policy"]
    assert shown["rules"][0] == {**out, "type": "bandwidth_limit", "qos_policy_id": policy["id"]}
    assert shown["revision_number"] == 3
    message = api.refused("POST", path, {"bandwidth_limit_rule": {"max_kbps": 1}}, 409, "QoSRulesConflict",
                          token=MANAGER)
    assert out["id"] in message
    api.refused("PUT", f"{path}/{out['id']}", {"bandwidth_limit_rule": {"direction": "ingress"}}, 409,
                "QoSRulesConflict", token=MANAGER)
    changed = api.call("PUT", f"{path}/{out['id']}", {"bandwidth_limit_rule": {"max_kbps": 5}}, token=MANAGER)
    assert changed["bandwidth_limit_rule"] == {**out, "max_kbps": 5}
    for method, body in (("PUT", {"bandwidth_limit_rule": {"max_kbps": 6}}), ("DELETE", None)):
        api.refused(method, f"{path}/{out['id']}", body, 403, "PolicyNotAuthorized")
        api.refused(method, f"{path}/{ids.new_id()}", body, 404, "QosRuleNotFound", token=ADMIN)
    api.call("DELETE", f"{path}/{out['id']}", token=MANAGER, status=204)
    assert api.call("GET", path)["bandwidth_limit_rules"] == [into]


@pytest.mark.parametrize("values", [
    {}, {"max_kbps": -1}, {"max_kbps": "fast"}, {"max_kbps": 2**31}, {"max_kbps": 1, "direction": "up"},
    {"max_kbps": 1, "max_burst_kbps": -1}, {"max_kbps": 1, "dscp_mark": 8}])
def test_what_no_rule_is(api: Api, values: dict[str, Any]) -> None:
    path = f"{POLICIES}/{policy_of(api)['id']}/bandwidth_limit_rules"
    api.call("POST", path, {"bandwidth_limit_rule": values}, token=MANAGER, status=400)


@pytest.mark.parametrize(("path", "name"), [
    ("dscp_marking_rules", "DSCP marking"), ("minimum_bandwidth_rules", "minimum bandwidth"),
    ("packet_rate_limit_rules", "packet rate limit"), ("minimum_packet_rate_rules", "minimum packet rate")])
def test_other_rules_are_refused_by_name(api: Api, path: str, name: str) -> None:
    base = f"{POLICIES}/{policy_of(api)['id']}/{path}"
    for method, where in (("GET", base), ("POST", base), ("GET", f"{base}/x"), ("PUT", f"{base}/x"),
                          ("DELETE", f"{base}/x")):
        assert name in api.refused(method, where, {}, 501, "NotImplementedError", token=ADMIN)


def test_types_of_rules(api: Api) -> None:
    assert api.call("GET", "/v2.0/qos/rule-types")["rule_types"] == [{"type": "bandwidth_limit"}]
    shown = api.call("GET", "/v2.0/qos/rule-types/bandwidth_limit", token=ADMIN)["rule_type"]
    assert [item["parameter_name"] for item in shown["drivers"][0]["supported_parameters"]] == [
        "max_kbps", "max_burst_kbps", "direction"]
    api.refused("GET", "/v2.0/qos/rule-types/bandwidth_limit", None, 403, "PolicyNotAuthorized", token=MANAGER)
    api.refused("GET", "/v2.0/qos/rule-types/dscp_marking", None, 404, "HTTPNotFound", token=ADMIN)


def test_a_port_has_its_own_policy_or_its_networks(api: Api, cloud: Cloud) -> None:
    slow, fast = policy_of(api), policy_of(api)
    network = api.make("network", "networks", qos_policy_id=slow["id"])
    assert network["qos_policy_id"] == slow["id"]
    port = api.make("port", "ports", network_id=network["id"])
    assert (port["qos_policy_id"], port["qos_network_policy_id"]) == (None, slow["id"])
    path = f"/v2.0/ports/{port['id']}"
    shown = api.call("PUT", path, {"port": {"qos_policy_id": fast["id"]}})["port"]
    assert (shown["qos_policy_id"], shown["qos_network_policy_id"]) == (fast["id"], slow["id"])
    assert [item["id"] for item in api.call("GET", f"/v2.0/ports?qos_policy_id={fast['id']}")["ports"]] == [port["id"]]
    message = api.refused("DELETE", f"{POLICIES}/{fast['id']}", None, 409, "QosPolicyInUse", token=MANAGER)
    assert message == f"QoS Policy {fast['id']} is used by port {port['id']}."
    message = api.refused("DELETE", f"{POLICIES}/{slow['id']}", None, 409, "QosPolicyInUse", token=MANAGER)
    assert message == f"QoS Policy {slow['id']} is used by network {network['id']}."
    api.call("PUT", path, {"port": {"qos_policy_id": None}})
    api.call("PUT", f"/v2.0/networks/{network['id']}", {"network": {"qos_policy_id": None}})
    for policy in (slow, fast):
        api.call("DELETE", f"{POLICIES}/{policy['id']}", token=MANAGER, status=204)
    for noun, values in (("network", {}), ("port", {"network_id": network["id"]})):
        api.refused("POST", f"/v2.0/{noun}s", {noun: {**values, "qos_policy_id": slow["id"]}}, 404,
                    "QosPolicyNotFound")
    api.refused("PUT", path, {"port": {"qos_policy_id": slow["id"]}}, 404, "QosPolicyNotFound")


def test_hosts_are_told_limits_and_each_change(api: Api, cloud: Cloud) -> None:
    policy, other = policy_of(api), policy_of(api)
    limit(api, policy, 1000, max_burst_kbps=100)
    network = api.make("network", "networks")
    cloud.subnet(network["id"], "10.0.0.0/24")
    port_id = port_on_host(api, cloud, network["id"])
    assert told(cloud, port_id) == (0, ())
    api.call("PUT", f"/v2.0/networks/{network['id']}", {"network": {"qos_policy_id": policy["id"]}})
    out = LimitSpec(direction="egress", max_kbps=1000, max_burst_kbps=100)
    assert told(cloud, port_id) == (1, (out,))
    limit(api, policy, 7, direction="ingress")
    assert told(cloud, port_id) == (2, (out, LimitSpec(direction="ingress", max_kbps=7)))
    assert cloud.count(Operation, Operation.kind == kinds.UPDATE.name) == 1
    api.call("PUT", f"/v2.0/ports/{port_id}", {"port": {"qos_policy_id": other["id"]}})
    assert told(cloud, port_id) == (3, ())
    assert cloud.count(Operation, Operation.kind == kinds.APPLY_RULES.name) == 1
    rule = limit(api, other, 9)
    assert told(cloud, port_id) == (4, (LimitSpec(direction="egress", max_kbps=9),))
    assert cloud.count(Operation, Operation.kind == kinds.APPLY_RULES.name) == 2
    api.call("PUT", f"{POLICIES}/{other['id']}/bandwidth_limit_rules/{rule['id']}", {
        "bandwidth_limit_rule": {"max_kbps": 9}}, token=MANAGER)
    api.call("PUT", f"{POLICIES}/{other['id']}", {"policy": {"name": "renamed"}}, token=MANAGER)
    assert told(cloud, port_id)[0] == 4  # nothing to tell
    assert len(api.wakes.operation_ids) == 4


def test_the_default_policy(api: Api) -> None:
    policy = policy_of(api, is_default=True)
    assert policy["is_default"] is True
    assert [item["id"] for item in api.call("GET", f"{POLICIES}?is_default=true")["policies"]] == [policy["id"]]
    for method, path in (("POST", POLICIES), ("PUT", f"{POLICIES}/{policy_of(api)['id']}")):
        api.refused(method, path, {"policy": {"name": "x", "is_default": True}}, 409, "QoSPolicyDefaultAlreadyExists",
                    token=MANAGER)
    network = api.make("network", "networks", name="n", qos_policy_id=None)
    assert network["qos_policy_id"] == policy["id"]
    assert api.make("network", "networks", token=OTHERS, name="n")["qos_policy_id"] is None
    same = api.call("PUT", f"{POLICIES}/{policy['id']}", {"policy": {"is_default": True}}, token=MANAGER)["policy"]
    assert same["is_default"] is True and same["revision_number"] == 1
    api.call("PUT", f"{POLICIES}/{policy['id']}", {"policy": {"is_default": False}}, token=MANAGER)
    assert api.make("network", "networks", name="n")["qos_policy_id"] is None


def test_sharing_and_what_is_foreign(api: Api, cloud: Cloud) -> None:
    policy = policy_of(api, token=ADMIN)
    path = f"{POLICIES}/{policy['id']}"
    network = cloud.network(project_id=OTHER)
    body = {"network": {"qos_policy_id": policy["id"]}}
    api.refused("GET", path, None, 404, "QosPolicyNotFound", token=OTHERS)
    api.refused("GET", f"{path}/bandwidth_limit_rules", None, 404, "QosPolicyNotFound", token=OTHERS)
    api.refused("PUT", f"/v2.0/networks/{network}", body, 404, "QosPolicyNotFound", token=OTHERS)
    api.refused("POST", POLICIES, {"policy": {"name": "x", "shared": True}}, 403, "PolicyNotAuthorized", token=MANAGER)
    shared = api.call("PUT", path, {"policy": {"shared": True}}, token=ADMIN)["policy"]
    assert shared["shared"] is True
    assert api.call("PUT", f"/v2.0/networks/{network}", body, token=OTHERS)["network"]["qos_policy_id"] == policy["id"]
    api.call("PUT", path, {"policy": {"shared": False}}, token=ADMIN, status=409)
    [row] = api.call("GET", "/v2.0/rbac-policies?object_type=qos_policy", token=ADMIN)["rbac_policies"]
    api.refused("DELETE", f"/v2.0/rbac-policies/{row['id']}", None, 409, "RbacPolicyInUse", token=ADMIN)


def test_a_limit_that_others_set_stays(api: Api, cloud: Cloud) -> None:
    """An administrator's policy on a project's port: who does not see it cannot take it away."""
    policy = policy_of(api, token=ADMIN)
    port = api.make("port", "ports", token=OTHERS, network_id=cloud.network(project_id=OTHER))
    path = f"/v2.0/ports/{port['id']}"
    api.call("PUT", path, {"port": {"qos_policy_id": policy["id"]}}, token=ADMIN)
    for wanted in (None, ids.new_id()):
        api.refused("PUT", path, {"port": {"qos_policy_id": wanted}}, 403, "PolicyRemoveAuthorizationError",
                    token=OTHERS)
    assert api.call("PUT", path, {"port": {"name": "mine"}}, token=OTHERS)["port"]["qos_policy_id"] == policy["id"]
    api.call("PUT", path, {"port": {"qos_policy_id": None}}, token=ADMIN)


def test_quota(api: Api, cloud: Cloud) -> None:
    cloud.conf.set_override("qos_policies", 1, "quota")
    policy_of(api)
    api.refused("POST", POLICIES, {"policy": {"name": "x"}}, 409, "OverQuota", token=MANAGER)
    assert policy_of(api, token=ADMIN, project_id=OTHER)["project_id"] == ids.bare(OTHER) != ids.bare(DEMO)
