"""Security group rules as nftables matches (pure functions).

A match says nothing of the family where the rule doesn't: rules of IPv4 and of IPv6 stand in chains of their own.

>>> from hostler.resources.server.specs import RuleSpec
>>> matches(RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22,
...                  remote_cidrs=("10.0.0.0/8",)))
['ip saddr { 10.0.0.0/8 } ip protocol 6 tcp dport 22']
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Any

from compute.network import names
from hostler import errors
from hostler.resources.network import protocols
from hostler.resources.server.specs import RuleSpec

_WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_ICMP = {1: "icmp", 58: "icmpv6"}
_ANYBODY = ("0.0.0.0/0", "::/0")
# To the Network API, "icmp" in a rule of IPv6 means ICMPv6.
_IN_IPV6 = {1: 58}
# MACs go into scripts unquoted, so they are checked.
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_ANY_MAC = "00:00:00:00:00:00-ff:ff:ff:ff:ff:ff"


def as_set(items: Iterable[str]) -> str:
    """Return an nftables set of some elements."""
    return f"{{ {', '.join(items)} }}"


def matches(rule: RuleSpec) -> list[str]:
    """Return the match expressions of `rule`: one, or none when it matches nobody.

    Raises `Invalid` for a protocol that is neither a known name nor a number.
    """
    if rule.remote_is_group and not rule.remote_cidrs and rule.remote_group_id is None:
        return []
    version = 6 if rule.ethertype == "IPv6" else 4
    family = "ip6" if version == 6 else "ip"
    parts = []
    side = "saddr" if rule.direction == "ingress" else "daddr"
    if rule.remote_group_id is not None:
        # The member's MAC, too: an address that a member may use (a pair of 0.0.0.0/0) does not prove it is one.
        parts.append(f"ether {side} . {family} {side} @{names.group_set(rule.remote_group_id, version)}")
    elif rule.remote_cidrs:
        cidrs = collapse(rule.remote_cidrs, version)
        if not cidrs:
            return []
        if cidrs[0] not in _ANYBODY:
            parts.append(f"{family} {side} {as_set(cidrs)}")
    number = protocol_number(rule.protocol)
    if number is not None and version == 6:
        number = _IN_IPV6.get(number, number)
    if number is not None:
        # An IPv6 header's next header may be an extension; the kernel knows the protocol behind those.
        parts.append(f"meta l4proto {number}" if version == 6 else f"ip protocol {number}")
        parts.extend(_refine(number, rule))
    return [" ".join(parts)]


def collapse(cidrs: Iterable[str], version: int = 4) -> list[str]:
    """Return the ranges of one IP version without overlaps (which a set of intervals refuses), as text."""
    networks: list[Any] = [network for network in (ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
                           if network.version == version]
    return [str(network) for network in ipaddress.collapse_addresses(networks)]


def members(told: Iterable[str]) -> list[str]:
    """Return a group's members as elements of its sets, without overlaps.

    >>> members(["fa:16:3e:00:00:01 10.0.0.5/32", "fa:16:3e:00:00:01 10.0.0.4/32"])
    ['fa:16:3e:00:00:01 . 10.0.0.4/31']

    Raises `Invalid` when a MAC is none. An entry without MAC (sent by an earlier release) means any, where no entry of
    the group has one.
    """
    by_mac: dict[str, list[str]] = {}
    for entry in told:
        mac, _, cidr = entry.rpartition(" ")
        by_mac.setdefault(mac.lower(), []).append(cidr)
    if len(by_mac) > 1:
        by_mac.pop("", None)
    for mac in by_mac:
        if mac and not MAC.fullmatch(mac):
            raise errors.Invalid(reason=f"{mac} is not a MAC address")
    return [f"{mac or _ANY_MAC} . {cidr}" for mac in sorted(by_mac) for version in (4, 6)
            for cidr in collapse(by_mac[mac], version)]


def protocol_number(protocol: str | None) -> int | None:
    """Return the IP protocol's number; None stands for any."""
    if protocol is None or protocol.lower() == "any":
        return None
    try:
        return protocols.number_of(protocol.lower())
    except ValueError:
        raise errors.Invalid(reason=f"Security group rule: unknown protocol {protocol}") from None


def _refine(number: int, rule: RuleSpec) -> list[str]:
    if number in _ICMP:
        word = _ICMP[number]
        parts = [] if rule.port_min is None else [f"{word} type {rule.port_min}"]
        return parts if rule.port_max is None or not parts else [*parts, f"{word} code {rule.port_max}"]
    if number not in _WITH_PORTS or (rule.port_min is None and rule.port_max is None):
        return []
    low = 0 if rule.port_min is None else int(rule.port_min)
    high = 65535 if rule.port_max is None else int(rule.port_max)
    if (low, high) == (0, 65535):
        return []
    return [f"{_WITH_PORTS[number]} dport {low if low == high else f'{low}-{high}'}"]
