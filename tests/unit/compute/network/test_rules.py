"""Security group rules become the right nftables matches."""

from __future__ import annotations

from typing import Any

import pytest

from compute.network import rules
from hostler import errors
from hostler.resources.server.specs import RuleSpec


def rule(**values: Any) -> RuleSpec:
    return RuleSpec(**{"direction": "ingress", "ethertype": "IPv4", **values})


@pytest.mark.parametrize(("values", "expected"), [
    ({}, [""]),
    ({"protocol": "any"}, [""]),
    ({"protocol": "tcp"}, ["ip protocol 6"]),
    ({"protocol": "TCP", "port_min": 22, "port_max": 22}, ["ip protocol 6 tcp dport 22"]),
    ({"protocol": "udp", "port_min": 53, "port_max": 60}, ["ip protocol 17 udp dport 53-60"]),
    ({"protocol": "tcp", "port_min": 1, "port_max": 65535}, ["ip protocol 6 tcp dport 1-65535"]),
    ({"protocol": "17", "port_min": 53, "port_max": 53}, ["ip protocol 17 udp dport 53"]),
    ({"protocol": "icmp"}, ["ip protocol 1"]),
    ({"protocol": "icmp", "port_min": 8}, ["ip protocol 1 icmp type 8"]),
    ({"protocol": "icmp", "port_min": 3, "port_max": 4}, ["ip protocol 1 icmp type 3 icmp code 4"]),
    ({"protocol": "icmp", "port_min": 0, "port_max": 0}, ["ip protocol 1 icmp type 0 icmp code 0"]),
    ({"protocol": "gre", "port_min": 5}, ["ip protocol 47"]),
    ({"protocol": "200"}, ["ip protocol 200"]),
    ({"remote_cidrs": ("0.0.0.0/0",)}, [""]),
    ({"remote_cidrs": ("10.0.0.5/8",)}, ["ip saddr { 10.0.0.0/8 }"]),
    ({"remote_cidrs": ("10.0.0.0/8",), "direction": "egress"}, ["ip daddr { 10.0.0.0/8 }"]),
    ({"remote_cidrs": ("fd00::/8",)}, []),
    ({"remote_is_group": True}, []),
    ({"remote_is_group": True, "remote_group_id": "ab-cd", "protocol": "tcp"},
     ["ether saddr . ip saddr @group_abcd ip protocol 6"]),
    ({"remote_is_group": True, "remote_group_id": "ab-cd", "direction": "egress"},
     ["ether daddr . ip daddr @group_abcd"]),
    ({"remote_is_group": True, "remote_group_id": "ab-cd", "ethertype": "IPv6"},
     ["ether saddr . ip6 saddr @group6_abcd"]),
    ({"remote_is_group": True, "remote_cidrs": ("10.0.0.4/32", "10.0.0.5/32")}, ["ip saddr { 10.0.0.4/31 }"]),
    ({"ethertype": "IPv6"}, [""]),
    ({"ethertype": "IPv6", "remote_cidrs": ("::/0",), "protocol": "tcp", "port_min": 22, "port_max": 22},
     ["meta l4proto 6 tcp dport 22"]),
    ({"ethertype": "IPv6", "remote_cidrs": ("fd00::5/64",), "direction": "egress"}, ["ip6 daddr { fd00::/64 }"]),
    ({"ethertype": "IPv6", "remote_cidrs": ("10.0.0.0/8",)}, []),
    ({"ethertype": "IPv6", "protocol": "ipv6-icmp", "port_min": 128, "port_max": 0},
     ["meta l4proto 58 icmpv6 type 128 icmpv6 code 0"]),
    ({"ethertype": "IPv6", "protocol": "icmp"}, ["meta l4proto 58"]),
])
def test_matches(values: dict[str, Any], expected: list[str]) -> None:
    assert rules.matches(rule(**values)) == expected


@pytest.mark.parametrize("protocol", ["no-such", "256", "-1", "6; drop"])
def test_an_unknown_protocol_is_refused(protocol: str) -> None:
    with pytest.raises(errors.Invalid):
        rules.matches(rule(protocol=protocol))


def test_overlapping_ranges_become_one() -> None:
    assert rules.collapse(["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "fd00::1"]) == ["10.0.0.0/8", "192.0.2.1/32"]
    assert rules.collapse(["10.0.0.0/8", "fd00::/64", "fd00::1"], version=6) == ["fd00::/64"]
