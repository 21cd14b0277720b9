"""The template of new security groups' rules: who changes it, and which groups follow."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import ids
from tests.harness.network_core import Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api

PATH = "/v2.0/default-security-group-rules"
WEB = {"direction": "ingress", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80}


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def make(api: Api, **values: Any) -> dict[str, Any]:
    made: dict[str, Any] = api.call("POST", PATH, {"default_security_group_rule": {**WEB, **values}}, token=ADMIN,
                                    status=201)["default_security_group_rule"]
    return made


def rules_of(api: Api, name: str, token: str) -> list[dict[str, Any]]:
    if name == "default":
        [group] = api.call("GET", "/v2.0/security-groups?name=default", token=token)["security_groups"]
    else:
        group = api.make("security_group", "security-groups", token, name=name)
    return list(group["security_group_rules"])


def test_a_new_cloud_has_the_rules_that_everybody_knows(api: Api) -> None:
    shown = api.call("GET", PATH)["default_security_group_rules"]
    assert sorted((one["direction"], one["ethertype"], one["remote_group_id"], one["used_in_default_sg"],
                   one["used_in_non_default_sg"]) for one in shown) == [
        ("egress", "IPv4", None, True, True), ("egress", "IPv6", None, True, True),
        ("ingress", "IPv4", "PARENT", True, False), ("ingress", "IPv6", "PARENT", True, False)]
    assert api.call("GET", f"{PATH}/{shown[0]['id']}")["default_security_group_rule"] == shown[0]
    assert len(api.call("GET", f"{PATH}?used_in_non_default_sg=false&ethertype=IPv6")[
        "default_security_group_rules"]) == 1


def test_new_groups_get_the_rules_of_their_kind(api: Api) -> None:
    before = rules_of(api, "default", "demo:member,reader")
    both = make(api, used_in_default_sg=True, description="web")
    assert (both["used_in_default_sg"], both["used_in_non_default_sg"]) == (True, True)
    make(api, port_range_min=22, port_range_max=22, remote_group_id="PARENT")
    custom = rules_of(api, "x", "demo:member,reader")
    assert len(custom) == 4
    assert [one["description"] for one in custom if one["port_range_min"] == 80] == ["web"]
    [own] = [one for one in custom if one["port_range_min"] == 22]
    assert own["remote_group_id"] == own["security_group_id"]
    assert len(rules_of(api, "default", OTHERS)) == 5
    assert rules_of(api, "default", "demo:member,reader") == before, "groups that are there stay as they are"
    for one in api.call("GET", PATH)["default_security_group_rules"]:
        api.call("DELETE", f"{PATH}/{one['id']}", token=ADMIN, status=204)
    assert rules_of(api, "y", "demo:member,reader") == []


def test_a_rule_whose_group_is_gone_is_left_out(api: Api) -> None:
    group = api.make("security_group", "security-groups", name="jump")
    make(api, remote_group_id=ids.bare(group["id"]))
    assert group["id"] in {one["remote_group_id"] for one in rules_of(api, "x", "demo:member,reader")}
    api.call("DELETE", f"/v2.0/security-groups/{group['id']}", status=204)
    assert len(rules_of(api, "y", "demo:member,reader")) == 2


@pytest.mark.parametrize(("values", "status"), [
    ({"used_in_non_default_sg": "never"}, 400), ({"remote_group_id": "parent"}, 404), ({"port_range_max": 79}, 400),
    ({"remote_group_id": "PARENT", "remote_ip_prefix": "10.0.0.0/8"}, 400), ({"security_group_id": "x"}, 400),
    ({"direction": "up"}, 400), ({"remote_address_group_id": ids.new_id()}, 404), ({"protocol": "nonsense"}, 400),
    ({"ethertype": "IPv6", "remote_ip_prefix": "10.0.0.0/8"}, 400), ({"more": 1}, 400)])
def test_careless_rules(api: Api, values: dict[str, Any], status: int) -> None:
    api.call("POST", PATH, {"default_security_group_rule": {**WEB, **values}}, token=ADMIN, status=status)
    assert len(api.call("GET", PATH)["default_security_group_rules"]) == 4


def test_only_administrators_change_the_template(api: Api) -> None:
    rule = make(api)
    api.refused("POST", PATH, {"default_security_group_rule": {**WEB, "port_range_min": 1}}, 403, "PolicyNotAuthorized")
    api.refused("DELETE", f"{PATH}/{rule['id']}", None, 403, "PolicyNotAuthorized")
    api.refused("POST", PATH, {"default_security_group_rule": WEB}, 409, "DefaultSecurityGroupRuleExists", token=ADMIN)
    make(api, used_in_default_sg=True, used_in_non_default_sg=False)
    api.refused("GET", f"{PATH}/{ids.new_id()}", None, 404, "DefaultSecurityGroupRuleNotFound")
    api.call("PUT", f"{PATH}/{rule['id']}", {"default_security_group_rule": {}}, token=ADMIN, status=400)
