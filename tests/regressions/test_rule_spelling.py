"""A rule came back other than it was sent: protocol numbers as names, prefixes without their host bits."""

from __future__ import annotations

from typing import Any

import pytest

from compute.network import rules as nft_rules
from hostler.resources.network import protocols
from hostler.resources.server.specs import RuleSpec
from tests.harness.network_rest import Api


def rule(api: Api, group_id: str, **values: Any) -> dict[str, Any]:
    return api.make("security_group_rule", "security-group-rules", security_group_id=group_id, direction="ingress",
                    **values)


@pytest.mark.parametrize(("sent", "again"), [
    ({"protocol": "6", "port_range_min": 22, "port_range_max": 22}, {"protocol": "tcp"}),
    ({"protocol": "udp", "port_range_min": 53, "port_range_max": 53}, {"protocol": "17"}),
    ({"protocol": "132"}, {"protocol": "sctp"}), ({"protocol": "112"}, {"protocol": "vrrp"}),
    ({"protocol": "58", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp"}),
    ({"remote_ip_prefix": "192.0.2.9/24"}, {"remote_ip_prefix": "192.0.2.0/24"}),
    ({"remote_ip_prefix": "2001:DB8::9/64", "ethertype": "IPv6"}, {"remote_ip_prefix": "2001:db8::/64"}),
    ({"protocol": "icmp", "remote_ip_prefix": "0.0.0.0/0"}, {"remote_ip_prefix": None}),
])
def test_what_is_sent_is_returned_and_means_the_same(network_api: Api, sent: dict[str, Any],
                                                     again: dict[str, Any]) -> None:
    group_id = network_api.make("security_group", "security-groups", name="g")["id"]
    made = rule(network_api, group_id, **sent)
    expected = {**sent, **({"remote_ip_prefix": "2001:db8::9/64"} if "2001:DB8::9/64" in sent.values() else {})}
    assert expected.items() <= made.items()
    body = {"security_group_rule": {"security_group_id": group_id, "direction": "ingress", **sent, **again}}
    network_api.refused("POST", "/v2.0/security-group-rules", body, 409, "SecurityGroupRuleExists")
    for protocol in [value["protocol"] for value in (sent, again) if value.get("protocol")]:
        found = network_api.call("GET", "/v2.0/security-group-rules",
                                 params={"security_group_id": group_id, "protocol": protocol})["security_group_rules"]
        assert [item["id"] for item in found] == [made["id"]]


def test_the_whole_range_of_ports_is_no_range(network_api: Api) -> None:
    group_id = network_api.make("security_group", "security-groups", name="g")["id"]
    made = rule(network_api, group_id, protocol="tcp", port_range_min=1, port_range_max=65535)
    assert made["port_range_min"] is None and made["port_range_max"] is None


@pytest.mark.parametrize("protocol", [*protocols.NUMBERS, *map(str, (0, 6, 200, 255))])
def test_hosts_understand_every_spelling(protocol: str) -> None:
    number = protocols.number_of(protocol)
    spec = RuleSpec(direction="ingress", ethertype="IPv4", protocol=protocol)
    assert nft_rules.matches(spec) == [f"ip protocol {number}"]
