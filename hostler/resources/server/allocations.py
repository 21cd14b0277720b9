"""Claims on hosts: who holds how much of which host, exact under any number of claimers.

A claim is a row of `allocations` written in the same transaction that moves the host's `generation`. A caller that
knows the host's use as of a generation names that generation: when it still stands, its arithmetic holds and the claim
is three statements. When it has moved, the claim is decided here on fresh sums, with the host's row held. So nobody
over-commits, and a lost race alone never refuses a request that fits.

Transactions must read what is committed (`hostler.db.engine` sees to it): sums are taken after the host is held.

Refuses nothing but what does not fit; filters and policies are the scheduler's. Called by the scheduler (claim) and by
the conductor's finishing transactions (release). Lock order: the consumer's server row, its allocations where they go,
the host's row; nobody waits for an allocation of another consumer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
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
    made = None
    if expected_generation is not None and _move(session, host_id, expected_generation):
        made = Claimed(expected_generation + 1)
    if made is None:
        made = _claim_on_fresh_sums(session, host_id, wanted)
    if made is None:
        return None
    session.execute(_INSERT, {"consumer_id": consumer_id, "host_id": host_id, "vcpus": vcpus, "ram_mib": ram_mib,
                              "disk_gib": disk_gib, "created_at": clock.utcnow()})
    return made


def _claim_on_fresh_sums(session: orm.Session, host_id: str, wanted: Amounts) -> Claimed | None:
    host = session.execute(_HOLD_HOST, {"host": host_id}).one_or_none()
    if host is None:
        return None
    used = usage_by_host(session, [host_id]).get(host_id, Amounts()).plus(wanted)
    if not used.within(capacity_of(host)) or not _move(session, host_id, host.generation):
        return None
    return Claimed(host.generation + 1, used)


def _move(session: orm.Session, host_id: str, generation: int) -> bool:
    result = session.execute(_MOVE, {"host": host_id, "seen": generation, "next": generation + 1})
    return bool(result.rowcount)  # type: ignore[attr-defined]


def lock_consumer(session: orm.Session, consumer_id: str) -> None:
    """Hold the consumer's server row, so that two claims of one consumer come one after the other.

    SQLite's only writer holds everything anyway; its dialect leaves the FOR UPDATE out.
    """
    session.execute(_LOCK_CONSUMER, {"consumer": consumer_id})


def release(session: orm.Session, consumer_id: str, host_id: str | None = None) -> list[str]:
    """Give back what a consumer holds (of one host, or all) and return the hosts' ids; nothing held is fine."""
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
        pages = [session.execute(_USED_OF, {"hosts": host_ids[start:start + _CHUNK]})
                 for start in range(0, len(host_ids), _CHUNK)]
    # MariaDB gives sums as decimals.
    return {host_id: Amounts(int(vcpus), int(ram_mib), int(disk_gib))
            for page in pages for host_id, vcpus, ram_mib, disk_gib in page}
