"""Whether security group rules let a packet pass (pure functions)."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Collection, Sequence

from hostler.resources.network import protocols
from hostler.resources.server.specs import RuleSpec

_ECHO_REQUEST = {1: 8, 58: 128}


@dataclasses.dataclass(frozen=True)
class Packet:
    """The first packet of a connection; `port` is where it goes, for protocols that have ports."""

    protocol: str
    port: int | None = None

    def __str__(self) -> str:
        return self.protocol + (f" {self.port}" if self.port is not None else "")


def passes(rules: Sequence[RuleSpec], direction: str, packet: Packet, peer: str, peer_groups: Collection[str]) -> bool:
    """Return whether one of `rules` lets the packet from or to `peer` pass, which is a member of `peer_groups`.

    >>> passes([RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22)], "ingress",
    ...        Packet("tcp", 22), "10.0.0.5", ())
    True
    """
    version = ipaddress.ip_address(peer).version
    return any(rule.direction == direction and rule.ethertype == f"IPv{version}" and _fits(rule, packet, version)
               and _means(rule, peer, peer_groups) for rule in rules)


def _fits(rule: RuleSpec, packet: Packet, version: int) -> bool:
    wanted, number = (_number(protocol, version) for protocol in (rule.protocol, packet.protocol))
    if wanted is None:
        return True
    if wanted != number:
        return False
    if number in _ECHO_REQUEST:
        return rule.port_min in (None, _ECHO_REQUEST[number])
    if rule.port_min is None and rule.port_max is None or number not in protocols.WITH_PORTS:
        return True
    return packet.port is not None and (rule.port_min or 0) <= packet.port <= (rule.port_max or 65535)


def _number(protocol: str | None, version: int) -> int | None:
    """Return a protocol's number; "icmp" means ICMPv6 in IPv6."""
    if protocol is None or protocol.lower() == "any":
        return None
    number = protocols.number_of(protocol.lower())
    return 58 if number == 1 and version == 6 else number


def _means(rule: RuleSpec, peer: str, peer_groups: Collection[str]) -> bool:
    if rule.remote_group_id is not None:
        return rule.remote_group_id in peer_groups
    if not rule.remote_cidrs:
        return not rule.remote_is_group
    address = ipaddress.ip_address(peer)
    return any(address in ipaddress.ip_network(cidr, strict=False) for cidr in rule.remote_cidrs)
