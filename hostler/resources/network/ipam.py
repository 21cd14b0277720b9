"""Chooses free addresses of subnets for ports.

It does not reserve them: the constraint `UNIQUE(subnet_id, ip_address)` decides, and a caller that loses to a
concurrent allocation asks again (`hostler.resources.network.place_ports`). Choices are random, so collisions are rare.
What is read does not grow with the size of a subnet: small pools are read whole, large ones are probed at random, and
only a nearly full large pool is read in full.

Network, broadcast, gateway and DHCP addresses are only given out by name.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.db.models import FixedIp, Network, Subnet
from hostler.resources.network import autoconf

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Block = ipaddress.IPv4Network | ipaddress.IPv6Network
Range = tuple[int, int]

# Pools up to this many addresses are read whole: one statement, never a second probe.
_SMALL_POOL = 2048
_PROBES = 4
_USED = sa.select(FixedIp.ip_address).where(FixedIp.subnet_id == sa.bindparam("subnet"))  # built once, for every boot


@dataclasses.dataclass(frozen=True)
class AddressRequest:
    """One address wanted: from the first of `subnets` with room, or `address` itself, which lies in `subnets[0]`."""

    subnets: tuple[Subnet, ...]
    address: str | None = None


@dataclasses.dataclass(frozen=True)
class Choice:
    """An address that was free when looked at."""

    subnet_id: str
    ip_address: str


def choose(session: orm.Session, requests: Sequence[AddressRequest], *, current: bool = False) -> list[Choice]:
    """Return one free address for each request, in order; none is given twice.

    `current` makes MariaDB read what others committed since this transaction began (used when a choice was lost).
    Raises NotUnique for a named address that is taken, NoAddress when the pools are used up.
    """
    named = [Choice(request.subnets[0].id, request.address) for request in requests if request.address is not None]
    _refuse_taken(session, named, current)
    left = Counter(tuple(subnet.id for subnet in request.subnets) for request in requests if request.address is None)
    subnets = {subnet.id: subnet for request in requests for subnet in request.subnets}
    found: dict[tuple[str, ...], list[Choice]] = {}
    given: dict[str, set[str]] = {}
    for choice in named:
        given.setdefault(choice.subnet_id, set()).add(choice.ip_address)
    for key, count in left.items():
        found[key] = _fill([subnets[subnet_id] for subnet_id in key], count, session, given, current)
    return [Choice(request.subnets[0].id, request.address) if request.address is not None
            else found[tuple(subnet.id for subnet in request.subnets)].pop() for request in requests]


def check_address(network: Network, subnet: Subnet, text: str, *, owner: bool, device_owner: str = "") -> str:
    """Return the canonical spelling of an address that a port may hold by name on `subnet`.

    The network's owner may take the gateway's address (a guest that routes), unless the hosts answer there, and others
    outside the allocation pools; what other projects name on a shared network lies in the pools. Raises InvalidField.
    """
    try:
        address = parse_address(text)
    except ValueError:
        raise errors.InvalidField(field="fixed_ips", value=text, reason="It is not a valid IP address.") from None
    block = block_of(subnet)
    if address.version != block.version or address not in block:
        raise errors.InvalidField(field="fixed_ips", value=text, reason=f"It is not a valid IP for subnet {subnet.id}.")
    if autoconf.is_automatic(subnet) and device_owner not in autoconf.ROUTERS:
        raise errors.InvalidField(
            f"IPv6 address {text} cannot be directly assigned to a port on subnet {subnet.id} as the subnet is "
            "configured for automatic addresses", field="fixed_ips", value=text, reason="automatic addresses")
    number = int(address)
    if number in _edges(block):
        raise errors.InvalidField(field="fixed_ips", value=text,
                                  reason="It is the network's or the broadcast address of its subnet.")
    if str(address) == subnet.dhcp_ip:
        raise errors.InvalidField(field="fixed_ips", value=text, reason="The DHCP server of the subnet answers there.")
    if str(address) == subnet.gateway_ip and (network.host_gateway or not owner):
        raise errors.InvalidField(field="fixed_ips", value=text, reason="It is the gateway of its subnet.")
    if not owner and not any(low <= number <= high for low, high in ranges_of(subnet)):
        raise errors.InvalidField(field="fixed_ips", value=text,
                                  reason="It is outside the allocation pools of a network of another project.")
    return str(address)


def choose_dhcp_address(session: orm.Session, subnet: Subnet) -> str:
    """Return the lowest free address of the pools for the DHCP server; raises NoAddress when there is none."""
    used = _used(session, subnet.id, True)
    for low, high in free_ranges(subnet):
        for number in range(low, high + 1):
            text = _text(subnet, number)
            if text not in used:
                return text
    raise errors.NoAddress(network=subnet.network_id, wanted=1, free=0, size=capacity(subnet))


def parse_address(text: str) -> Address:
    """Return the address that `text` spells; raises ValueError for anything else, and for a zone ("%eth0")."""
    if "%" in text:
        raise ValueError("an address with a zone is of one host only")
    return ipaddress.ip_address(text)


def subnet_with(subnets: Sequence[Subnet], text: str) -> Subnet | None:
    """Return the subnet that contains the address `text`; None if none does or it is not an address."""
    try:
        address = parse_address(text)
    except ValueError:
        return None
    return next((subnet for subnet in subnets if address in block_of(subnet)), None)


def block_of(subnet: Subnet) -> Block:
    """Return the subnet's block of addresses."""
    return ipaddress.ip_network(subnet.cidr)


def default_pools(block: Block, gateway: str | None) -> list[dict[str, str]]:
    """Return the allocation pools of a subnet that names none: all but the edges and the gateway."""
    edges = _edges(block)
    low, high = int(block.network_address), int(block.broadcast_address)
    taken = edges if gateway is None else edges | {int(ipaddress.ip_address(gateway))}
    kind = type(block.network_address)
    return [{"start": str(kind(start)), "end": str(kind(end))} for start, end in _without([(low, high)], taken)]


def ranges_of(subnet: Subnet) -> list[Range]:
    """Return the pools as pairs of numbers."""
    return [(int(ipaddress.ip_address(pool["start"])), int(ipaddress.ip_address(pool["end"])))
            for pool in subnet.allocation_pools]


def free_ranges(subnet: Subnet) -> list[Range]:
    """Return the pools less the addresses that no port may get."""
    reserved = set(_edges(block_of(subnet)))
    for text in (subnet.gateway_ip, subnet.dhcp_ip):
        if text:
            reserved.add(int(ipaddress.ip_address(text)))
    return _without(ranges_of(subnet), reserved)


def capacity(subnet: Subnet) -> int:
    """Return how many addresses of the subnet ports may get without naming one."""
    return sum(high - low + 1 for low, high in free_ranges(subnet))


def _edges(block: Block) -> frozenset[int]:
    first, last = int(block.network_address), int(block.broadcast_address)
    if block.version == 6:
        return frozenset({first}) if block.prefixlen < 127 else frozenset()
    return frozenset({first, last}) if block.prefixlen < 31 else frozenset()


def _without(ranges: Iterable[Range], numbers: Iterable[int]) -> list[Range]:
    pieces = list(ranges)
    for number in numbers:
        pieces = [piece for low, high in pieces for piece in
                  (((low, number - 1), (number + 1, high)) if low <= number <= high else ((low, high),))
                  if piece[0] <= piece[1]]
    return sorted(pieces)


def _refuse_taken(session: orm.Session, named: Sequence[Choice], current: bool) -> None:
    if not named:
        return
    twice = [choice for choice, count in Counter(named).items() if count > 1]
    query = sa.select(FixedIp.subnet_id, FixedIp.ip_address).where(
        FixedIp.subnet_id.in_({choice.subnet_id for choice in named}),
        FixedIp.ip_address.in_({choice.ip_address for choice in named}))
    taken = {Choice(*row) for row in session.execute(_reading(session, query, current)).tuples()}
    for choice in [*twice, *(choice for choice in named if choice in taken)]:
        raise errors.NotUnique(f"IP address {choice.ip_address} already allocated in subnet {choice.subnet_id}.",
                               resource="IP address", id=choice.ip_address)


def _fill(subnets: Sequence[Subnet], count: int, session: orm.Session, given: dict[str, set[str]],
          current: bool) -> list[Choice]:
    choices: list[Choice] = []
    for subnet in subnets:
        mine = given.setdefault(subnet.id, set())
        picked = _pick(session, subnet, count - len(choices), mine, current)
        mine.update(picked)
        choices += [Choice(subnet.id, text) for text in picked]
        if len(choices) == count:
            return choices
    raise errors.NoAddress(network=subnets[0].network_id if subnets else "?", wanted=count, free=len(choices),
                           size=sum(map(capacity, subnets)))


def _pick(session: orm.Session, subnet: Subnet, count: int, avoid: set[str], current: bool) -> list[str]:
    """Return up to `count` free addresses of `subnet`; fewer only when it has no more."""
    ranges = free_ranges(subnet)
    size = sum(high - low + 1 for low, high in ranges)
    if size > _SMALL_POOL:
        picked = _probe(session, subnet, ranges, size, count, avoid, current)
        if len(picked) == count:
            return picked
    used = _used(session, subnet.id, current) | avoid
    if size <= _SMALL_POOL:
        free = [text for low, high in ranges for number in range(low, high + 1)
                if (text := _text(subnet, number)) not in used]
        return random.sample(free, min(count, len(free)))
    return _from_gaps(subnet, ranges, used, count)


def _probe(session: orm.Session, subnet: Subnet, ranges: Sequence[Range], size: int, count: int, avoid: set[str],
           current: bool) -> list[str]:
    picked: list[str] = []
    tried = set(avoid)
    for _ in range(_PROBES):
        wanted = count - len(picked)
        guesses = {_text(subnet, _at(ranges, random.randrange(size))) for _ in range(wanted + wanted // 2 + 4)} - tried
        tried |= guesses
        query = sa.select(FixedIp.ip_address).where(FixedIp.subnet_id == subnet.id, FixedIp.ip_address.in_(guesses))
        taken = set(session.scalars(_reading(session, query, current)))
        picked += list(guesses - taken)[:wanted]
        if len(picked) == count:
            break
    return picked


def _from_gaps(subnet: Subnet, ranges: Sequence[Range], used: set[str], count: int) -> list[str]:
    """Return the first free addresses between the used ones: the cost goes with what is used, not with the pool."""
    taken = sorted(int(ipaddress.ip_address(text)) for text in used)
    picked: list[str] = []
    for low, high in _gaps(ranges, taken):
        for number in range(low, min(high, low + count - len(picked) - 1) + 1):
            picked.append(_text(subnet, number))
        if len(picked) == count:
            break
    return picked


def _gaps(ranges: Sequence[Range], taken: Sequence[int]) -> Iterator[Range]:
    position = 0
    for low, high in ranges:
        start = low
        while position < len(taken) and taken[position] <= high:
            if taken[position] > start:
                yield start, taken[position] - 1
            start = max(start, taken[position] + 1)
            position += 1
        if start <= high:
            yield start, high


def _used(session: orm.Session, subnet_id: str, current: bool) -> set[str]:
    return set(session.scalars(_reading(session, _USED, current), {"subnet": subnet_id}))


def _reading(session: orm.Session, query: sa.Select[Any], current: bool) -> sa.Select[Any]:
    # MariaDB's repeatable read shows what was there when the transaction began; a locking read shows the present.
    if current and session.get_bind().dialect.name in ("mysql", "mariadb"):
        return query.with_for_update(read=True)
    return query


def _at(ranges: Sequence[Range], offset: int) -> int:
    for low, high in ranges:
        if offset <= high - low:
            return low + offset
        offset -= high - low + 1
    raise IndexError(offset)


def _text(subnet: Subnet, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if subnet.ip_version == 4 else ipaddress.IPv6Address(number))
