"""Which packets security group rules let pass."""

from __future__ import annotations

from typing import Any

import pytest

from conductor.trace.rules import Packet, passes
from hostler.resources.server.specs import RuleSpec


def rule(**values: Any) -> RuleSpec:
    return RuleSpec(**{"direction": "ingress", "ethertype": "IPv4", **values})


@pytest.mark.parametrize(("one", "packet", "peer", "passed"), [
    (rule(), Packet("icmp"), "10.0.0.5", True),
    (rule(), Packet("icmp"), "fd00::5", False),
    (rule(direction="egress"), Packet("icmp"), "10.0.0.5", False),
    (rule(protocol="tcp", port_min=20, port_max=22), Packet("tcp", 22), "10.0.0.5", True),
    (rule(protocol="6", port_min=20, port_max=22), Packet("tcp", 23), "10.0.0.5", False),
    (rule(protocol="tcp"), Packet("tcp", 23), "10.0.0.5", True),
    (rule(protocol="tcp"), Packet("udp", 23), "10.0.0.5", False),
    (rule(protocol="icmp", port_min=8), Packet("icmp"), "10.0.0.5", True),
    (rule(protocol="icmp", port_min=0), Packet("icmp"), "10.0.0.5", False),
    (rule(ethertype="IPv6", protocol="icmp"), Packet("icmp"), "fd00::5", True),
    (rule(remote_cidrs=("10.0.0.0/24",)), Packet("icmp"), "10.0.0.5", True),
    (rule(remote_cidrs=("10.0.1.0/24",)), Packet("icmp"), "10.0.0.5", False),
    (rule(remote_is_group=True), Packet("icmp"), "10.0.0.5", False),
    (rule(remote_group_id="mine"), Packet("icmp"), "10.0.0.5", True),
    (rule(remote_group_id="other"), Packet("icmp"), "10.0.0.5", False),
])
def test_a_rule_lets_pass_what_it_says(one: RuleSpec, packet: Packet, peer: str, passed: bool) -> None:
    assert passes([one], "ingress", packet, peer, ("mine",)) is passed


def test_without_rules_nothing_passes() -> None:
    assert not passes([], "ingress", Packet("icmp"), "10.0.0.5", ())
