"""How many addresses an IPv6 network has is more than 64 bits hold; the answer was 500."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.network_rest import ADMIN, Api

HUGE = (2**31, 2**63, 2**64, 10**30, -1, -(2**31), -(2**63) - 1, 1e300)


def ipv6_network(api: Api, name: str, *cidrs: str) -> str:
    network_id = str(api.make("network", "networks", name=name)["id"])
    for cidr in cidrs:
        api.make("subnet", "subnets", network_id=network_id, cidr=cidr, ip_version=6, enable_dhcp=False)
    return network_id


@pytest.mark.parametrize("cidr", ["fd00::/64", "fd01::/48", "fd02::/127"])
def test_the_addresses_of_any_block_are_counted(network_api: Api, cidr: str) -> None:
    network_id = ipv6_network(network_api, cidr, cidr)
    network_api.make("port", "ports", network_id=network_id)
    shown = network_api.call("GET", f"/v2.0/network-ip-availabilities/{network_id}", token=ADMIN)
    shown = shown["network_ip_availability"]
    bits = 128 - int(cidr.partition("/")[2])
    assert 2**bits - 4 < shown["total_ips"] <= 2**bits and shown["used_ips"] == 1
    assert shown["subnet_ip_availability"][0]["total_ips"] == shown["total_ips"]
    listed = network_api.call("GET", "/v2.0/network-ip-availabilities", token=ADMIN,
                              params={"network_id": network_id, "ip_version": 6})
    assert listed["network_ip_availabilities"] == [shown]


@pytest.mark.parametrize("number", HUGE)
@pytest.mark.parametrize(("path", "singular", "values"), [
    ("networks", "network", {"mtu": None}), ("networks", "network", {"provider:segmentation_id": None}),
    ("security-group-rules", "security_group_rule", {"direction": "ingress", "protocol": None}),
    ("security-group-rules", "security_group_rule",
     {"direction": "ingress", "protocol": "tcp", "port_range_min": None, "port_range_max": 22}),
    ("security-group-rules", "security_group_rule",
     {"direction": "ingress", "protocol": "icmp", "port_range_min": None}),
    ("subnets", "subnet", {"ip_version": None, "cidr": "10.0.0.0/24"}),
])
def test_numbers_no_column_holds_are_refused(network_api: Api, path: str, singular: str, values: dict[str, Any],
                                             number: float) -> None:
    group = network_api.call("GET", "/v2.0/security-groups")["security_groups"][0]["id"]
    body = {name: number if value is None else value for name, value in values.items()}
    if singular == "security_group_rule":
        if number == -1 and "port_range_min" in values:
            pytest.skip("-1 is how old clients spell \"any\" here")
        body["security_group_id"] = group
    if singular == "subnet":
        body["network_id"] = ipv6_network(network_api, "n")
    network_api.call("POST", f"/v2.0/{path}", {singular: body}, token=ADMIN, status=400)


@pytest.mark.parametrize("number", HUGE)
def test_numbers_in_a_question_find_nothing_or_are_refused(network_api: Api, number: float) -> None:
    for path, name in (("networks", "mtu"), ("networks", "revision_number"), ("networks", "limit"),
                       ("networks", "provider:segmentation_id"), ("subnets", "ip_version"),
                       ("security-group-rules", "port_range_min"), ("security-group-rules", "port_range_max"),
                       ("security-group-rules", "protocol"), ("network-ip-availabilities", "ip_version")):
        result = network_api.client.simulate_get(f"/network/v2.0/{path}", params={name: str(number)},
                                                 headers={"X-Auth-Token": ADMIN})
        assert result.status_code in (200, 400), (path, name, number, result.text)


@pytest.mark.parametrize("number", [number for number in HUGE if number != -1])
def test_no_quota_is_set_to_what_no_column_holds(network_api: Api, number: float) -> None:
    project_id = network_api.call("GET", "/v2.0/security-groups")["security_groups"][0]["project_id"]
    network_api.call("PUT", f"/v2.0/quotas/{project_id}", {"quota": {"port": number}}, token=ADMIN, status=400)
