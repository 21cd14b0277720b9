"""Claims on hosts: who holds how much of which host, exact under any number of claimers.

A claim is a row of `allocations` written in the same transaction that moves the host's `generation`. A caller that
knows the host's use as of a generation names that generation: when it still stands, its arithmetic holds and the claim
is three statements, or one on PostgreSQL. When it has moved, the claim is decided here on fresh sums, with the host's
row held. So nobody over-commits, and a lost race alone never refuses a request that fits.

Transactions must read what is committed (`hostler.db.engine` sees to it): sums are taken after the host is held.

Refuses nothing but what does not fit; filters and policies are the scheduler's. Called by the scheduler (claim) and by
the conductor's finishing transactions (release). Lock order: the consumer's server row, its allocations where they go,
the host's row; nobody waits for an allocation of another consumer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.db.compiled import execute_built, execute_compiled
from hostler.db.models import Allocation, Host, Server
from hostler.db.moments import now

# SQLite and PostgreSQL bound the parameters of one statement; this stays far below both.
_CHUNK = 500
# Plain tables: these statements need nothing of the ORM's bookkeeping.
_HOSTS = cast(sa.Table, Host.__table__)
_ALLOCATIONS = cast(sa.Table, Allocation.__table__)
# Built once, for every boot and delete. updated_at is for what people change; a claim is none of it.
_INSERT = sa.insert(_ALLOCATIONS)
_RELEASE = sa.delete(_ALLOCATIONS).where(_ALLOCATIONS.c.consumer_id == sa.bindparam("consumer")).returning(
    _ALLOCATIONS.c.host_id)
_RELEASE_ONE = _RELEASE.where(_ALLOCATIONS.c.host_id == sa.bindparam("host"))
_RELEASED = _RELEASE.cte("released")
_LOCK_CONSUMER = sa.select(Server.id).where(Server.id == sa.bindparam("consumer")).with_for_update()
_HOLD_HOST = sa.select(
    *(_HOSTS.c[name] for name in ("generation", "vcpus", "cpu_ratio", "ram_mib", "reserved_ram_mib", "ram_ratio",
                                  "disk_gib", "reserved_disk_gib", "disk_ratio"))).where(
    _HOSTS.c.id == sa.bindparam("host")).with_for_update()
_USED = sa.select(_ALLOCATIONS.c.host_id, *(sa.func.sum(_ALLOCATIONS.c[name]) for name in (
    "vcpus", "ram_mib", "disk_gib"))).group_by(_ALLOCATIONS.c.host_id)
_USED_OF = _USED.where(_ALLOCATIONS.c.host_id.in_(sa.bindparam("hosts", expanding=True)))
_MOVE = (sa.update(_HOSTS).where(_HOSTS.c.id == sa.bindparam("host"), _HOSTS.c.generation == sa.bindparam("seen"))
         .values(generation=sa.bindparam("next"), changed_at=now(), updated_at=_HOSTS.c.updated_at))
_TOUCH = (sa.update(_HOSTS).where(_HOSTS.c.id.in_(sa.bindparam("hosts", expanding=True)))
          .values(changed_at=now(), updated_at=_HOSTS.c.updated_at))
_USE_CHANGED = _TOUCH.values(generation=_HOSTS.c.generation + 1)
# The same in one statement each, for a database that takes them together: give back, and claim unless there is a claim.
# No parameter has a column's name, which an UPDATE among the parts would set.
_RELEASE_ALL = sa.update(_HOSTS).where(_HOSTS.c.id.in_(sa.select(_RELEASED.c.host_id))).values(
    generation=_HOSTS.c.generation + 1, changed_at=now(), updated_at=_HOSTS.c.updated_at).returning(_HOSTS.c.id)
_EARLIER = sa.select(_HOSTS.c.id).join(_ALLOCATIONS, _ALLOCATIONS.c.host_id == _HOSTS.c.id).where(
    _ALLOCATIONS.c.consumer_id == sa.bindparam("new_consumer_id"), *(
        column.not_in(sa.bindparam("excluded", expanding=True)) for column in (_HOSTS.c.id, _HOSTS.c.name))
    ).order_by(_HOSTS.c.id).limit(1).cte("earlier")


def _made(taken: sa.CTE) -> sa.Insert:
    """Return the INSERT of a claim for each host that was `taken`."""
    return _INSERT.from_select([column.name for column in _ALLOCATIONS.c], sa.select(*(
        sa.bindparam(f"new_{column.name}", type_=column.type) for column in _ALLOCATIONS.c)).select_from(taken))


_TAKE = _made(_MOVE.returning(_HOSTS.c.id).cte("taken")).returning(_ALLOCATIONS.c.host_id)
_TAKEN = _MOVE.where(~sa.exists(sa.select(_EARLIER.c.id))).returning(_HOSTS.c.id).cte("taken")
_CLAIM = sa.select(sa.select(_EARLIER.c.id).scalar_subquery().label("earlier"),
                   sa.exists(sa.select(_TAKEN.c.id)).label("taken")).add_cte(_made(_TAKEN).cte("made"))


class Amounts(NamedTuple):
    """A quantity of each thing that hosts offer."""

    vcpus: int = 0
    ram_mib: int = 0
    disk_gib: int = 0

    def plus(self, other: Amounts) -> Amounts:
        """Return the sum."""
        return Amounts(self.vcpus + other.vcpus, self.ram_mib + other.ram_mib, self.disk_gib + other.disk_gib)

    def within(self, limit: Amounts) -> bool:
        """Return whether nothing here passes `limit`."""
        return self.vcpus <= limit.vcpus and self.ram_mib <= limit.ram_mib and self.disk_gib <= limit.disk_gib


@dataclasses.dataclass(frozen=True)
class Claimed:
    """A claim that was made: the host's new generation, and its use after it where that was summed afresh."""

    generation: int
    used: Amounts | None = None


def capacity_of(host: Any) -> Amounts:
    """Return what may be claimed of a host (a `Host`, or a row with its columns): (total - reserved) x ratio."""
    return Amounts(
        int(host.vcpus * host.cpu_ratio),
        int(max(host.ram_mib - host.reserved_ram_mib, 0) * host.ram_ratio),
        int(max(host.disk_gib - host.reserved_disk_gib, 0) * host.disk_ratio))


def claim(session: orm.Session, *, consumer_id: str, host_id: str, expected_generation: int | None, vcpus: int,
          ram_mib: int, disk_gib: int) -> Claimed | None:
    """Claim a part of a host for a consumer that holds none of it; None when it does not fit or the host is gone.

    `expected_generation` is the generation as of which the caller knows that it fits; None always sums afresh.
    """
    wanted = Amounts(vcpus, ram_mib, disk_gib)
    if expected_generation is not None and _take(session, consumer_id, host_id, expected_generation, wanted):
        return Claimed(expected_generation + 1)
    host = execute_built(session, _HOLD_HOST, {"host": host_id}).one_or_none()
    if host is None:
        return None
    used = usage_by_host(session, [host_id]).get(host_id, Amounts()).plus(wanted)
    if not used.within(capacity_of(host)) or not _take(session, consumer_id, host_id, host.generation, wanted):
        return None
    return Claimed(host.generation + 1, used)


def claim_at_once(session: orm.Session, *, consumer_id: str, host_id: str, expected_generation: int, wanted: Amounts,
                  excluded: Collection[str]) -> tuple[str | None, Claimed | None]:
    """As `claim` as long as the host has `expected_generation`; returns a host that the consumer has already instead.

    One statement, on PostgreSQL alone. Hosts whose names or ids are `excluded` do not count as the consumer's.
    """
    row = execute_compiled(session.connection(), _CLAIM, {
        **_values(consumer_id, host_id, expected_generation, wanted), "excluded": list(excluded)}).one()
    return row.earlier, Claimed(expected_generation + 1) if row.taken else None


def _take(session: orm.Session, consumer_id: str, host_id: str, generation: int, wanted: Amounts) -> bool:
    """Move the host's generation and write the claim; False when it has another one."""
    values, connection = _values(consumer_id, host_id, generation, wanted), session.connection()
    if connection.dialect.name == "postgresql":
        return execute_compiled(connection, _TAKE, values).one_or_none() is not None
    if not connection.execute(_MOVE, {name: values[name] for name in ("host", "seen", "next")}).rowcount:
        return False
    connection.execute(_INSERT, {column.name: values[f"new_{column.name}"] for column in _ALLOCATIONS.c})
    return True


def _values(consumer_id: str, host_id: str, generation: int, wanted: Amounts) -> dict[str, Any]:
    return {"new_consumer_id": consumer_id, "new_host_id": host_id, "new_created_at": clock.utcnow(),
            **{f"new_{name}": amount for name, amount in wanted._asdict().items()},
            "host": host_id, "seen": generation, "next": generation + 1}


def lock_consumer(session: orm.Session, consumer_id: str) -> None:
    """Hold the consumer's server row, so that two claims of one consumer come one after the other.

    SQLite's only writer holds everything anyway; its dialect leaves the FOR UPDATE out.
    """
    session.execute(_LOCK_CONSUMER, {"consumer": consumer_id})


def release(session: orm.Session, consumer_id: str, host_id: str | None = None) -> list[str]:
    """Give back what a consumer holds (of one host, or all) and return the hosts' ids; nothing held is fine."""
    if host_id is None and session.connection().dialect.name == "postgresql":
        return sorted(execute_compiled(session.connection(), _RELEASE_ALL, {"consumer": consumer_id}).scalars())
    released = (session.scalars(_RELEASE, {"consumer": consumer_id}) if host_id is None
                else session.scalars(_RELEASE_ONE, {"consumer": consumer_id, "host": host_id}))
    host_ids = sorted(released)
    touch(session, host_ids, generation=True)
    return host_ids


def touch(session: orm.Session, host_ids: Iterable[str], *, generation: bool = False) -> None:
    """Make every scheduler look at these hosts again; `generation` says that their use changed, too."""
    # In the order of ids, so that two such transactions seldom wait for each other.
    ordered = sorted(host_ids)
    for start in range(0, len(ordered), _CHUNK):
        session.execute(_USE_CHANGED if generation else _TOUCH, {"hosts": ordered[start:start + _CHUNK]})


def usage_by_host(session: orm.Session, host_ids: Sequence[str] | None = None) -> dict[str, Amounts]:
    """Return the sum of the allocations of each host that has any; None asks for all hosts."""
    if host_ids is None:
        pages = [session.execute(_USED)]
    else:
        pages = [execute_built(session, _USED_OF, {"hosts": host_ids[start:start + _CHUNK]})
                 for start in range(0, len(host_ids), _CHUNK)]
    # MariaDB gives sums as decimals.
    return {host_id: Amounts(int(vcpus), int(ram_mib), int(disk_gib))
            for page in pages for host_id, vcpus, ram_mib, disk_gib in page}
