"""Cuts the blocks of subnets from subnet pools.

What is taken of a pool is read from its subnets while its row is held: two requests never get the same block, and
what a deleted subnet had is free again.

>>> pieces = merged(["10.1.0.0/24", "10.0.0.0/16", "10.1.1.0/24"])
>>> [str(piece) for piece in pieces]
['10.0.0.0/16', '10.1.0.0/23']
>>> str(first_free(pieces, [ipaddress.ip_network("10.0.0.0/25")], 24))
'10.0.1.0/24'
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.db.engine import Database
from hostler.db.models import Subnet, SubnetPool

Block = Any  # ipaddress.IPv4Network | ipaddress.IPv6Network, of one version within a pool
# The prefix that counts as one in a quota.
_UNIT: Final = {4: 32, 6: 64}


def merged(prefixes: Iterable[str]) -> list[Block]:
    """Return prefixes of one IP version in order, without overlaps and as few as possible."""
    networks: list[Any] = [ipaddress.ip_network(text) for text in prefixes]
    return list(ipaddress.collapse_addresses(networks))


def first_free(pieces: Sequence[Block], taken: Iterable[Block], prefixlen: int) -> Block | None:
    """Return the lowest block of a length within `pieces` that overlaps with nothing taken."""
    held = sorted((int(block.network_address), int(block.broadcast_address)) for block in taken)
    for piece in pieces:
        if piece.prefixlen > prefixlen:
            continue
        size = 1 << (piece.max_prefixlen - prefixlen)
        low, last = int(piece.network_address), int(piece.broadcast_address)
        for start, end in held:
            if end < low:
                continue
            if start >= low + size:
                break
            low = -(-(end + 1) // size) * size
        if low + size - 1 <= last:
            return type(piece)((low, prefixlen))
    return None


def allocate(db: Database, session: orm.Session, pool: SubnetPool, project_id: str, prefixlen: int) -> str:
    """Hold the pool and return a free block; the caller adds the subnet.

    Raises Invalid for a length that the pool does not give, Conflict when the pool or the project's quota is used up.
    """
    taken = _hold(db, session, pool)
    _check_length(pool, prefixlen)
    _check_quota(pool, [cidr for owner, cidr in taken if owner == project_id], prefixlen)
    block = first_free(merged(pool.prefixes), [ipaddress.ip_network(cidr) for _, cidr in taken], prefixlen)
    if block is None:
        raise _used_up(pool, f"Insufficient prefix space to allocate subnet size /{prefixlen}",
                       [cidr for _, cidr in taken])
    return str(block)


def claim(db: Database, session: orm.Session, pool: SubnetPool, project_id: str, block: Block) -> None:
    """As `allocate`, for a block that the request names."""
    taken = _hold(db, session, pool)
    _check_length(pool, block.prefixlen)
    _check_quota(pool, [cidr for owner, cidr in taken if owner == project_id], block.prefixlen)
    if not any(block.subnet_of(piece) for piece in merged(pool.prefixes)) or any(
            block.overlaps(ipaddress.ip_network(cidr)) for _, cidr in taken):
        raise _used_up(pool, f"Cannot allocate requested subnet {block} from the available set of prefixes",
                       [cidr for _, cidr in taken])


def _hold(db: Database, session: orm.Session, pool: SubnetPool) -> list[tuple[str, str]]:
    """Hold the pool's row, and return (project, block) of what is taken of it."""
    db.lock_row(session, SubnetPool, SubnetPool.id == pool.id)
    session.refresh(pool)
    return list(session.execute(sa.select(Subnet.project_id, Subnet.cidr).where(
        Subnet.subnetpool_id == pool.id)).tuples())


def _check_length(pool: SubnetPool, prefixlen: int) -> None:
    if prefixlen < pool.min_prefixlen:
        raise errors.Invalid(reason=f"Unable to allocate subnet with prefix length {prefixlen}, minimum allowed prefix "
                                    f"is {pool.min_prefixlen}.")
    if prefixlen > pool.max_prefixlen:
        raise errors.Invalid(reason=f"Unable to allocate subnet with prefix length {prefixlen}, maximum allowed prefix "
                                    f"is {pool.max_prefixlen}.")


def _check_quota(pool: SubnetPool, own: Sequence[str], prefixlen: int) -> None:
    if pool.default_quota is None:
        return
    unit = _UNIT[pool.ip_version]
    used = sum(_units(ipaddress.ip_network(cidr).prefixlen, unit) for cidr in own)
    wanted = _units(prefixlen, unit)
    if used + wanted > pool.default_quota:
        raise errors.Conflict(f"Per-tenant subnet pool prefix quota exceeded. Requested {wanted}, but already used "
                              f"{used} of {pool.default_quota}.", reason="subnet pool quota")


def _units(prefixlen: int, unit: int) -> int:
    return 1 << max(unit - prefixlen, 0)


def _used_up(pool: SubnetPool, what: str, taken: Sequence[str]) -> errors.Conflict:
    size = sum(piece.num_addresses for piece in merged(pool.prefixes))
    used = sum(ipaddress.ip_network(cidr).num_addresses for cidr in taken)
    return errors.Conflict(f"Failed to allocate subnet: {what}: {used} of {size} addresses of the pool are in use.",
                           reason="subnet pool used up")
