"""IP protocols as security group rules name them: by name or by number, which mean the same.

A rule keeps the spelling its author chose; whatever compares rules or filters packets goes by `number_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# IANA numbers under the names that the Network API publishes.
NUMBERS: Final[Mapping[str, int]] = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "icmpv6": 58, "igmp": 2, "ip": 0,
    "ipip": 4, "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
    "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136,
    "vrrp": 112}
ICMP: Final = frozenset({1, 58})
WITH_PORTS: Final = frozenset(NUMBERS[name] for name in ("tcp", "udp", "sctp", "dccp", "udplite"))
ONLY_IPV6: Final = frozenset(number for name, number in NUMBERS.items() if name.startswith("ipv6-"))


def number_of(protocol: str | None) -> int | None:
    """Return the number of a protocol; None, which stands for any, stays None. Raises ValueError for no protocol."""
    if protocol is None:
        return None
    if protocol in NUMBERS:
        return NUMBERS[protocol]
    if protocol.isascii() and protocol.isdecimal() and int(protocol) <= 255:
        return int(protocol)
    raise ValueError(f"{protocol} is not an IP protocol")


def spellings_of(protocol: str) -> list[str]:
    """Return all spellings of the protocol that `protocol` names; only itself when it names none."""
    try:
        number = number_of(protocol.lower())
    except ValueError:
        return [protocol]
    return [str(number), *(name for name, value in NUMBERS.items() if value == number)]
