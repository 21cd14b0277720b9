"""Security group rules as nftables matches (pure functions).

IPv4 only: rules of ethertype IPv6 give nothing, because a port with port security carries no IPv6 at all.

>>> from hostler.resources.server.specs import RuleSpec
>>> matches(RuleSpec(direction="ingress", ethertype="IPv4", protocol="tcp", port_min=22, port_max=22,
...                  remote_cidrs=("10.0.0.0/8",)))
['ip saddr { 10.0.0.0/8 } ip protocol 6 tcp dport 22']
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from compute.network import names
from hostler import errors
from hostler.resources.network import protocols
from hostler.resources.server.specs import RuleSpec

_WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
_ICMP = 1
# MACs go into scripts unquoted, so they are checked.
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_ANY_MAC = "00:00:00:00:00:00-ff:ff:ff:ff:ff:ff"


def matches(rule: RuleSpec) -> list[str]:
    """Return the match expressions of `rule`: one, or none when it matches nobody.

    Raises `Invalid` for a protocol that is neither a known name nor a number.
    """
    if rule.ethertype != "IPv4" or (rule.remote_is_group and not rule.remote_cidrs
                                     and rule.remote_group_id is None):
        return []
    parts = []
    side = "saddr" if rule.direction == "ingress" else "daddr"
    if rule.remote_group_id is not None:
        # The member's MAC, too: an address that a member may use (a pair of 0.0.0.0/0) is no sign of being one.
        parts.append(f"ether {side} . ip {side} @{names.group_set(rule.remote_group_id)}")
    elif rule.remote_cidrs:
        cidrs = collapse(rule.remote_cidrs)
        if not cidrs:
            return []
        if cidrs != ["0.0.0.0/0"]:
            parts.append(f"ip {side} {{ {', '.join(cidrs)} }}")
    number = protocol_number(rule.protocol)
    if number is not None:
        parts.append(f"ip protocol {number}")
        parts.extend(_refine(number, rule))
    return [" ".join(parts)]


def collapse(cidrs: Iterable[str]) -> list[str]:
    """Return the IPv4 ranges of `cidrs` without overlaps (which a set of intervals refuses), as text."""
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]
    return [str(network) for network in
            ipaddress.collapse_addresses(net for net in networks if isinstance(net, ipaddress.IPv4Network))]


def members(told: Iterable[str]) -> list[str]:
    """Return a group's members as elements of its set, without overlaps; IPv4 only.

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
    return [f"{mac or _ANY_MAC} . {cidr}" for mac in sorted(by_mac) for cidr in collapse(by_mac[mac])]


def protocol_number(protocol: str | None) -> int | None:
    """Return the IP protocol's number; None stands for any."""
    if protocol is None or protocol.lower() == "any":
        return None
    try:
        return protocols.number_of(protocol.lower())
    except ValueError:
        raise errors.Invalid(reason=f"Security group rule: unknown protocol {protocol}") from None


def _refine(number: int, rule: RuleSpec) -> list[str]:
    if number == _ICMP:
        parts = [] if rule.port_min is None else [f"icmp type {rule.port_min}"]
        return parts if rule.port_max is None or not parts else [*parts, f"icmp code {rule.port_max}"]
    if number not in _WITH_PORTS or (rule.port_min is None and rule.port_max is None):
        return []
    low = 0 if rule.port_min is None else int(rule.port_min)
    high = 65535 if rule.port_max is None else int(rule.port_max)
    if (low, high) == (0, 65535):
        return []
    return [f"{_WITH_PORTS[number]} dport {low if low == high else f'{low}-{high}'}"]
