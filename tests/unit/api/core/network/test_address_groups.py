"""Address groups: their addresses, the rules that name them, sharing, quotas, and what hosts are told."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from hostler import ids
from hostler.db.models import Operation, Port, PortSecurityGroup
from hostler.operations.kinds import network as kinds
from hostler.resources.network.port_specs import port_specs
from tests.harness.network_core import DEMO, OTHER, Cloud
from tests.harness.network_rest import ADMIN, OTHERS, Api

GROUPS, RULES = "/v2.0/address-groups", "/v2.0/security-group-rules"


@pytest.fixture
def api(cloud: Cloud) -> Api:
    """Return the Network API over the cloud."""
    return Api(cloud)


def group_of(api: Api, *addresses: str, **values: Any) -> dict[str, Any]:
    return api.make("address_group", "address-groups", **{"name": "g", "addresses": list(addresses), **values})


def rule_naming(api: Api, group_id: str, **values: Any) -> dict[str, Any]:
    security_group = api.make("security_group", "security-groups", name="s")
    return api.make("security_group_rule", "security-group-rules", security_group_id=security_group["id"],
                    direction="ingress", protocol="tcp", remote_address_group_id=group_id, **values)


def test_a_group_is_made_shown_changed_and_deleted(api: Api) -> None:
    made = group_of(api, "10.0.0.7/8", "10.0.0.0/8", "2001:DB8::/32", description="ours")
    assert made["addresses"] == ["10.0.0.0/8", "2001:db8::/32"] and made["project_id"] == ids.bare(DEMO)
    path = f"{GROUPS}/{made['id']}"
    assert api.call("GET", path)["address_group"] == made
    changed = api.call("PUT", path, {"address_group": {"name": "h"}})["address_group"]
    assert (changed["name"], changed["revision_number"]) == ("h", 2)
    assert api.call("GET", f"{GROUPS}?name=h")["address_groups"] == [changed]
    api.refused("PUT", path, {"address_group": {"addresses": []}}, 400, "HTTPBadRequest")
    api.call("DELETE", path, status=204)
    api.refused("GET", path, None, 404, "AddressGroupNotFound")
    assert group_of(api)["addresses"] == []


def test_addresses_are_added_and_removed(api: Api) -> None:
    path = f"{GROUPS}/{group_of(api, '10.0.0.0/8')['id']}"
    shown = api.call("PUT", f"{path}/add_addresses", {"addresses": ["192.0.2.1", "2001:db8::1/128"]})["address_group"]
    assert shown["addresses"] == ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::1/128"] and shown["revision_number"] == 2
    message = api.refused("PUT", f"{path}/add_addresses", {"addresses": ["192.0.2.1/32", "10.1.0.0/16"]}, 400,
                          "AddressesAlreadyExist")
    assert "192.0.2.1/32" in message and "10.1.0.0/16" not in message
    message = api.refused("PUT", f"{path}/remove_addresses", {"addresses": ["10.0.0.0/8", "10.1.0.0/16"]}, 404,
                          "AddressesNotFound")
    assert "10.1.0.0/16" in message and "10.0.0.0/8" not in message
    shown = api.call("PUT", f"{path}/remove_addresses", {"addresses": ["10.0.0.0/8"]})["address_group"]
    assert shown["addresses"] == ["192.0.2.1/32", "2001:db8::1/128"] and shown["revision_number"] == 3


@pytest.mark.parametrize("addresses", [["x"], ["10.0.0.0/33"], ["fe80::1%eth0/128"], [1], "10.0.0.0/8"])
def test_what_no_address_is(api: Api, addresses: Any) -> None:
    api.refused("POST", GROUPS, {"address_group": {"addresses": addresses}}, 400, "InvalidInput")
    path = f"{GROUPS}/{group_of(api)['id']}"
    for verb in ("add", "remove"):
        api.refused("PUT", f"{path}/{verb}_addresses", {"addresses": addresses}, 400, "InvalidInput")
        api.refused("PUT", f"{path}/{verb}_addresses", {}, 400, "InvalidInput")


def test_a_group_has_a_bound(api: Api) -> None:
    group = group_of(api, *(f"10.{number // 256}.{number % 256}.0/24" for number in range(1024)))
    api.refused("PUT", f"{GROUPS}/{group['id']}/add_addresses", {"addresses": ["192.0.2.1"]}, 400, "InvalidInput")
    api.refused("POST", GROUPS, {"address_group": {"addresses": ["192.0.2.1"]}}, 400, "InvalidInput")


def test_a_rule_names_a_group_which_then_stays(api: Api) -> None:
    group = group_of(api, "10.0.0.0/8")
    rule = rule_naming(api, group["id"])
    assert (rule["remote_address_group_id"], rule["remote_group_id"], rule["remote_ip_prefix"]) == (
        group["id"], None, None)
    assert api.call("GET", f"{RULES}?remote_address_group_id={group['id']}")["security_group_rules"] == [rule]
    same = {"security_group_rule": {"security_group_id": rule["security_group_id"], "direction": "ingress",
                                    "protocol": "tcp", "remote_address_group_id": group["id"]}}
    api.refused("POST", RULES, same, 409, "SecurityGroupRuleExists")
    same["security_group_rule"]["remote_ip_prefix"] = "10.0.0.0/8"
    message = api.refused("POST", RULES, same, 400, "SecurityGroupMultipleRemoteEntites")
    assert message == "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided."
    del same["security_group_rule"]["remote_ip_prefix"]
    for absent, status, kind in ((ids.new_id(), 404, "AddressGroupNotFound"), ("absent", 400, "InvalidInput")):
        same["security_group_rule"]["remote_address_group_id"] = absent
        api.refused("POST", RULES, same, status, kind)
    message = api.refused("DELETE", f"{GROUPS}/{group['id']}", None, 409, "AddressGroupInUse")
    assert message == f"Address group {group['id']} is in use on one or more security group rules."
    api.call("DELETE", f"{RULES}/{rule['id']}", status=204)
    api.call("DELETE", f"{GROUPS}/{group['id']}", status=204)


def test_hosts_are_told_the_groups_addresses_and_each_change(api: Api, cloud: Cloud) -> None:
    group = group_of(api)
    rule = rule_naming(api, group["id"])
    port = api.make("port", "ports", network_id=cloud.network())
    server = cloud.server()

    def plug(session: Any) -> None:
        session.execute(sa.update(Port).where(Port.id == port["id"]).values(
            server_id=server, host_id=cloud.host_id))
        session.execute(sa.delete(PortSecurityGroup))
        session.add(PortSecurityGroup(port_id=port["id"], group_id=rule["security_group_id"]))
    cloud.db.write(plug)

    def told() -> tuple[int, bool, tuple[str, ...]]:
        with cloud.db.reading() as session:
            [spec] = port_specs(session, server_ids=[server])[server]
        [ingress] = [item for item in spec.rules if item.direction == "ingress"]
        assert ingress.remote_group_id is None
        return spec.revision, ingress.remote_is_group, ingress.remote_cidrs

    assert told() == (0, True, ())  # nobody: not everybody
    path = f"{GROUPS}/{group['id']}"
    api.call("PUT", f"{path}/add_addresses", {"addresses": ["10.0.0.0/8", "2001:db8::/32"]})
    assert told() == (1, True, ("10.0.0.0/8", "2001:db8::/32"))
    api.call("PUT", f"{path}/remove_addresses", {"addresses": ["10.0.0.0/8"]})
    assert told() == (2, True, ("2001:db8::/32",))
    assert cloud.count(Operation, Operation.kind == kinds.APPLY_RULES.name,
                       Operation.resource_id == rule["security_group_id"]) == 1 and api.wakes.operation_ids
    api.call("PUT", path, {"address_group": {"name": "renamed"}})
    assert told()[0] == 2


def test_sharing(api: Api) -> None:
    group = group_of(api, "10.0.0.0/8")
    path = f"{GROUPS}/{group['id']}"
    theirs = api.make("security_group", "security-groups", token=OTHERS, name="s")
    body = {"security_group_rule": {"security_group_id": theirs["id"], "direction": "ingress",
                                    "remote_address_group_id": group["id"]}}
    api.refused("GET", path, None, 404, "AddressGroupNotFound", token=OTHERS)
    api.refused("POST", RULES, body, 404, "AddressGroupNotFound", token=OTHERS)
    policy = api.make("rbac_policy", "rbac-policies", object_type="address_group", object_id=group["id"],
                      target_tenant=OTHER, action="access_as_shared")
    assert api.call("GET", path, token=OTHERS)["address_group"]["addresses"] == ["10.0.0.0/8"]
    api.refused("PUT", f"{path}/add_addresses", {"addresses": ["0.0.0.0/0"]}, 403, "PolicyNotAuthorized", token=OTHERS)
    api.refused("PUT", path, {"address_group": {"name": "taken"}}, 403, "PolicyNotAuthorized", token=OTHERS)
    rule = api.call("POST", RULES, body, token=OTHERS, status=201)["security_group_rule"]
    api.refused("DELETE", f"/v2.0/rbac-policies/{policy['id']}", None, 409, "RbacPolicyInUse")
    api.call("DELETE", f"{RULES}/{rule['id']}", token=OTHERS, status=204)
    api.call("DELETE", f"/v2.0/rbac-policies/{policy['id']}", status=204)
    api.refused("GET", path, None, 404, "AddressGroupNotFound", token=OTHERS)


def test_quota_and_revision(api: Api, cloud: Cloud) -> None:
    cloud.conf.set_override("address_groups", 1, "quota")
    group = group_of(api)
    assert "['address_group']" in api.refused("POST", GROUPS, {"address_group": {}}, 409, "OverQuota")
    headers = {"X-Auth-Token": ADMIN, "If-Match": "revision_number=7"}
    answer = api.client.simulate_put(f"/network{GROUPS}/{group['id']}/add_addresses", headers=headers,
                                     json={"addresses": ["10.0.0.0/8"]})
    assert answer.status_code == 412
