"""Security groups and rules: the default group, what rules are taken, and how hosts follow changes."""

from __future__ import annotations

from typing import Any

import pytest

from hostler.db.models import Operation
from hostler.resources.network import ports
from hostler.resources.network.port_specs import port_specs
from tests.harness.network_core import Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


@pytest.fixture
def group_id(api: Api) -> str:
    """Return a group of the demo project."""
    return str(api.make("security_group", "security-groups", name="web")["id"])


def default_of(api: Api, token: str = "demo:member,reader") -> dict[str, Any]:
    [group] = api.call("GET", "/v2.0/security-groups?name=default", token=token)["security_groups"]
    return dict(group)


def add(api: Api, group_id: str, **values: Any) -> dict[str, Any]:
    return api.make("security_group_rule", "security-group-rules", security_group_id=group_id,
                    **{"direction": "ingress", **values})


def test_each_project_has_a_default_group_that_stays(api: Api) -> None:
    mine, foreign = default_of(api), default_of(api, OTHERS)
    assert mine["id"] != foreign["id"] and default_of(api)["id"] == mine["id"]
    rules = sorted((rule["direction"], rule["ethertype"], rule["remote_group_id"])
                   for rule in mine["security_group_rules"] if rule["direction"] == "ingress")
    assert rules == [("ingress", "IPv4", mine["id"]), ("ingress", "IPv6", mine["id"])]
    path = f"/v2.0/security-groups/{mine['id']}"
    api.refused("DELETE", path, None, 409, "SecurityGroupCannotRemoveDefault")
    api.call("PUT", path, {"security_group": {"name": "x"}}, status=409)
    api.call("PUT", path, {"security_group": {"description": "x"}})
    api.refused("POST", "/v2.0/security-groups", {"security_group": {"name": "default"}}, 409,
                "SecurityGroupDefaultAlreadyExists")
    api.refused("GET", f"/v2.0/security-groups/{foreign['id']}", None, 404, "SecurityGroupNotFound")


def test_a_group_lets_everything_out(api: Api, group_id: str) -> None:
    group = api.call("GET", f"/v2.0/security-groups/{group_id}")["security_group"]
    assert {(rule["direction"], rule["ethertype"]) for rule in group["security_group_rules"]} == {
        ("egress", "IPv4"), ("egress", "IPv6")}
    assert group["stateful"] is True


def test_a_stateless_group_keeps_to_its_kind(api: Api, cloud: Cloud, group_id: str) -> None:
    network_id = cloud.network()
    made = api.make("security_group", "security-groups", name="s", stateful=False)
    path = f"/v2.0/security-groups/{made['id']}"
    assert made["stateful"] is False and made["id"] in {
        one["id"] for one in api.call("GET", "/v2.0/security-groups?stateful=False")["security_groups"]}
    for both in ([made["id"], group_id], [group_id, made["id"]]):
        api.refused("POST", "/v2.0/ports", {"port": {"network_id": network_id, "security_groups": both}}, 409,
                    "SecurityGroupConflict")
    port = api.make("port", "ports", network_id=network_id, security_groups=[made["id"]])
    api.refused("PUT", path, {"security_group": {"stateful": True}}, 409, "SecurityGroupInUse")
    api.call("PUT", path, {"security_group": {"stateful": False, "name": "t"}})
    api.refused("PUT", f"/v2.0/ports/{port['id']}", {"port": {"security_groups": [made["id"], group_id]}}, 409,
                "SecurityGroupConflict")
    api.call("PUT", f"/v2.0/ports/{port['id']}", {"port": {"security_groups": [group_id]}})
    assert api.call("PUT", path, {"security_group": {"stateful": True}})["security_group"]["stateful"]


@pytest.mark.parametrize(("values", "shown"), [
    ({"protocol": "TCP", "port_range_min": 22, "port_range_max": 22}, {"protocol": "tcp", "port_range_min": 22}),
    ({"protocol": "6", "port_range_min": 1, "port_range_max": 65535}, {"protocol": "6", "port_range_min": None}),
    ({"protocol": 17, "port_range_min": 53, "port_range_max": 53}, {"protocol": "17"}),
    ({"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}, {"port_range_min": 8, "port_range_max": 0}),
    ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp"}),
    ({"protocol": "any"}, {"protocol": None}), ({"protocol": "200"}, {"protocol": "200"}),
    ({"remote_ip_prefix": "10.0.0.7/24"}, {"remote_ip_prefix": "10.0.0.7/24",
                                               "normalized_cidr": "10.0.0.0/24"}),
    ({"remote_ip_prefix": "10.0.0.7"}, {"remote_ip_prefix": "10.0.0.7/32"}),
    ({"remote_ip_prefix": "::/0", "ethertype": "IPv6"}, {"remote_ip_prefix": "::/0"}),
    ({"protocol": None, "port_range_min": -1, "port_range_max": -1}, {"port_range_min": None}),
])
def test_rules_are_shown_as_they_were_written(api: Api, group_id: str, values: dict[str, Any],
                                              shown: dict[str, Any]) -> None:
    rule = add(api, group_id, **values)
    assert shown.items() <= rule.items() and rule["security_group_id"] == group_id
    assert api.call("GET", f"/v2.0/security-group-rules/{rule['id']}")["security_group_rule"] == rule
    body = {"security_group_rule": {"security_group_id": group_id, "direction": "ingress", **values}}
    api.refused("POST", "/v2.0/security-group-rules", body, 409, "SecurityGroupRuleExists")


@pytest.mark.parametrize("values", [
    {"direction": "sideways"}, {"ethertype": "IPX"}, {"protocol": "quic"}, {"protocol": "256"}, {"protocol": 300},
    {"port_range_min": 1, "port_range_max": 2}, {"protocol": "tcp", "port_range_min": 5},
    {"protocol": "tcp", "port_range_min": 5, "port_range_max": 4},
    {"protocol": "tcp", "port_range_min": 0, "port_range_max": 4},
    {"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}, {"protocol": "gre", "port_range_min": 1,
                                                                       "port_range_max": 2},
    {"protocol": "icmp", "port_range_max": 0}, {"protocol": "icmp", "port_range_min": 256},
    {"remote_ip_prefix": "nowhere"}, {"remote_ip_prefix": "::/0"}, {"protocol": "ipv6-icmp"},
    {"remote_address_group_id": 7}, {"name": "x"},
])
def test_rules_that_no_packet_could_match(api: Api, group_id: str, values: dict[str, Any]) -> None:
    body = {"security_group_rule": {"security_group_id": group_id, "direction": "ingress", **values}}
    api.call("POST", "/v2.0/security-group-rules", body, status=400)


def test_remote_groups(api: Api, group_id: str) -> None:
    other = api.make("security_group", "security-groups", name="db")["id"]
    rule = add(api, group_id, remote_group_id=other)
    assert rule["remote_group_id"] == other
    foreign = default_of(api, OTHERS)["id"]
    for remote in (foreign, "absent"):
        body = {"security_group_rule": {"security_group_id": group_id, "direction": "egress",
                                        "remote_group_id": remote}}
        api.refused("POST", "/v2.0/security-group-rules", body, 404, "SecurityGroupNotFound")
    both = {"security_group_id": group_id, "direction": "egress", "remote_group_id": other,
            "remote_ip_prefix": "10.0.0.0/8"}
    api.call("POST", "/v2.0/security-group-rules", {"security_group_rule": both}, status=400)
    api.call("DELETE", f"/v2.0/security-groups/{other}", status=204)  # the rule that names it goes too
    api.refused("GET", f"/v2.0/security-group-rules/{rule['id']}", None, 404, "SecurityGroupRuleNotFound")


def test_rules_in_bulk_filters_and_deletion(api: Api, group_id: str) -> None:
    rules = [{"security_group_id": group_id, "direction": "ingress", "protocol": "tcp", "port_range_min": port,
              "port_range_max": port} for port in (80, 443)]
    made = api.call("POST", "/v2.0/security-group-rules", {"security_group_rules": rules}, status=201)
    assert len(made["security_group_rules"]) == 2
    found = api.call("GET", f"/v2.0/security-group-rules?security_group_id={group_id}&direction=ingress&protocol=6")
    assert {rule["port_range_min"] for rule in found["security_group_rules"]} == {80, 443}
    path = f"/v2.0/security-group-rules/{made['security_group_rules'][0]['id']}"
    api.refused("DELETE", path, None, 404, "SecurityGroupRuleNotFound", token=OTHERS)
    api.call("PUT", path, {"security_group_rule": {"description": "x"}}, status=400)
    api.call("DELETE", path, status=204)
    api.call("POST", "/v2.0/security-group-rules", {"security_group_rules": [rules[0], rules[0]]}, status=409)
    assert api.call("GET", f"/v2.0/security-groups/{group_id}")["security_group"]["revision_number"] == 3


def test_another_projects_group_takes_no_rules(api: Api, group_id: str) -> None:
    body = {"security_group_rule": {"security_group_id": group_id, "direction": "ingress"}}
    api.refused("POST", "/v2.0/security-group-rules", body, 404, "SecurityGroupNotFound", token=OTHERS)
    api.refused("POST", "/v2.0/security-group-rules", body, 403, "PolicyNotAuthorized", token="demo:reader")
    api.call("POST", "/v2.0/security-group-rules", body, token=ADMIN, status=201)


def test_quota_of_groups_and_rules(api: Api, cloud: Cloud, group_id: str) -> None:
    cloud.conf.set_override("security_groups", 1, "quota")
    api.refused("POST", "/v2.0/security-groups", {"security_group": {"name": "x"}}, 409, "OverQuota")
    cloud.conf.set_override("security_group_rules", 2, "quota")
    body = {"security_group_rule": {"security_group_id": group_id, "direction": "ingress"}}
    api.refused("POST", "/v2.0/security-group-rules", body, 409, "OverQuota")


def test_hosts_of_members_hear_of_new_rules(api: Api, cloud: Cloud, group_id: str) -> None:
    cloud.network()
    add(api, group_id)
    assert not api.wakes.operation_ids  # nobody is in it
    server_id = cloud.server()
    cloud.db.write(lambda session: ports.bind_ports(
        cloud.db, session, cloud.conf, cloud.context(), server_id=server_id, hostname="vm", requests="auto",
        security_groups=["web"]))
    cloud.db.write(lambda session: ports.set_ports_host(session, server_id, cloud.host_id, "ACTIVE"))
    api.refused("DELETE", f"/v2.0/security-groups/{group_id}", None, 409, "SecurityGroupInUse")
    add(api, group_id, protocol="tcp", port_range_min=22, port_range_max=22, remote_ip_prefix="192.0.2.0/24")
    [operation_id] = api.wakes.operation_ids
    with cloud.db.reading() as session:
        operation = session.get_one(Operation, operation_id)
        assert (operation.kind, operation.arguments) == ("network.apply_rules", {"security_group_id": group_id})
        [spec] = port_specs(session, server_ids=[server_id])[server_id]
    assert ("tcp", 22, 22, ("192.0.2.0/24",)) in {
        (rule.protocol, rule.port_min, rule.port_max, rule.remote_cidrs) for rule in spec.rules}
