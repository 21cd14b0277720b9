"""The SQL behind snapshots: what the scheduler reads of hosts, and how rows become columns.

Every function is a fixed number of statements, plus one for each further 500 hosts that changed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.compiled import execute_built
from hostler.db.models import Aggregate, AggregateHost, Allocation, Host, Lock, Operation, Zone
from hostler.resources.server import allocations
from hostler.resources.server.allocations import Amounts
from scheduler.snapshot import AggregateState, Mask, Numbers, Reals

_CHUNK = 500
# Columns of the plain table: the ORM's loading costs more than the reading.
_HOST = cast(sa.Table, Host.__table__).c
_COLUMNS = (
    _HOST.id, _HOST.name, _HOST.zone_id, _HOST.generation, _HOST.changed_at, _HOST.last_seen_at, _HOST.enabled,
    _HOST.forced_down, _HOST.healthy, _HOST.arch, _HOST.hypervisor_type, _HOST.traits, _HOST.vcpus, _HOST.cpu_ratio,
    _HOST.ram_mib, _HOST.reserved_ram_mib, _HOST.ram_ratio, _HOST.disk_gib, _HOST.reserved_disk_gib,
    _HOST.disk_ratio,
)
# Built once: a scheduler that was idle reads most of them before its first choice.
_ALL = sa.select(*_COLUMNS).order_by(_HOST.id)
_SOME = sa.select(*_COLUMNS).where(_HOST.id.in_(sa.bindparam("hosts", expanding=True)))
_CHANGES = sa.select(_HOST.id, _HOST.generation, _HOST.changed_at).where(_HOST.changed_at >= sa.bindparam("since"))
_SEEN = sa.select(_HOST.id, _HOST.last_seen_at).where(_HOST.last_seen_at >= sa.bindparam("since"))
_ZONES = sa.select(Zone.id, Zone.name)
_MARK = sa.select(sa.func.count(), sa.func.max(Aggregate.id), sa.func.max(Aggregate.updated_at))
_MEMBERS = sa.select(AggregateHost.aggregate_id, AggregateHost.host_id)
_EXTRA = sa.select(Aggregate.id, Aggregate.extra)
_OPERATIONS = sa.select(Allocation.host_id, sa.func.count()).join(
    Lock, Lock.resource_id == Allocation.consumer_id).where(Lock.resource_type == "server").group_by(Allocation.host_id)
_FAILURES = sa.select(Operation.host, sa.func.count()).where(
    Operation.finished_at >= sa.bindparam("since"), Operation.kind == "server.create", Operation.state == "failed",
    Operation.host.is_not(None)).group_by(Operation.host)


@dataclasses.dataclass(frozen=True)
class HostState:
    """One host as read; `used` is at least as new as `generation`."""

    id: str
    name: str
    zone_id: str
    generation: int
    changed_at: float
    last_seen: float
    enabled: bool
    in_service: bool
    arch: str
    hypervisor_type: str
    traits: tuple[str, ...]
    capacity: Amounts
    used: Amounts

    def looks_like(self, other: HostState) -> bool:
        """Return whether nothing but use, generation and times differs."""
        return dataclasses.replace(other, generation=self.generation, changed_at=self.changed_at,
                                   last_seen=self.last_seen, used=self.used) == self


def seconds(moment: dt.datetime | None) -> float:
    """Return naive UTC as seconds since the epoch; never seen is 0."""
    return 0.0 if moment is None else moment.replace(tzinfo=dt.UTC).timestamp()


def moment(since: float) -> dt.datetime:
    """Return seconds since the epoch as naive UTC."""
    return dt.datetime.fromtimestamp(max(since, 0.0), dt.UTC).replace(tzinfo=None)


def all_hosts(session: orm.Session) -> list[HostState]:
    """Return every host, in the order of ids."""
    # Hosts before sums: a claim in between makes the sums newer than the generation, which then fails the claim that
    # builds on it; the other way round it would pass.
    # In parts: the threads beside this one wait while SQLAlchemy makes rows, 90 ms for 10,000 at once.
    rows = [row for part in execute_built(session, _ALL, {}).partitions(_CHUNK) for row in part]
    used = allocations.usage_by_host(session)
    return [_state(row, used.get(row.id, Amounts())) for row in rows]


def hosts(session: orm.Session, host_ids: Sequence[str]) -> list[HostState]:
    """Return these hosts; those that are gone are left out."""
    rows = [row for start in range(0, len(host_ids), _CHUNK)
            for row in execute_built(session, _SOME, {"hosts": list(host_ids[start:start + _CHUNK])})]
    used = allocations.usage_by_host(session, host_ids)
    return [_state(row, used.get(row.id, Amounts())) for row in rows]


def _state(row: Any, used: Amounts) -> HostState:
    return HostState(
        id=row.id, name=row.name, zone_id=row.zone_id, generation=row.generation, changed_at=seconds(row.changed_at),
        last_seen=seconds(row.last_seen_at), enabled=row.enabled and not row.forced_down,
        in_service=row.enabled and row.healthy and not row.forced_down,
        arch=row.arch, hypervisor_type=row.hypervisor_type, traits=tuple(row.traits or ()),
        capacity=allocations.capacity_of(row), used=used)


def changes(session: orm.Session, since: float) -> list[tuple[str, int, float]]:
    """Return (id, generation, changed_at) of the hosts that changed since."""
    rows = execute_built(session, _CHANGES, {"since": moment(since)})
    return [(host_id, generation, seconds(changed_at)) for host_id, generation, changed_at in rows]


def seen_since(session: orm.Session, since: float) -> list[tuple[str, float]]:
    """Return (id, last_seen) of the hosts that reported since."""
    return [(host_id, seconds(seen)) for host_id, seen in execute_built(session, _SEEN, {"since": moment(since)})]


def zone_names(session: orm.Session) -> dict[str, str]:
    """Return the zones' names by id."""
    return dict(execute_built(session, _ZONES, {}).tuples().all())


def aggregates_mark(session: orm.Session) -> tuple[Any, ...]:
    """Return a value that changes when any aggregate does (their verbs move `updated_at` on every change)."""
    return tuple(execute_built(session, _MARK, {}).one())


def aggregates(session: orm.Session, row_of: dict[str, int]) -> tuple[AggregateState, ...]:
    """Return the aggregates that have metadata, with the rows of their hosts."""
    members: dict[int, list[int]] = {}
    for aggregate_id, host_id in execute_built(session, _MEMBERS, {}):
        if host_id in row_of:
            members.setdefault(aggregate_id, []).append(row_of[host_id])
    return tuple(
        AggregateState({str(key): str(value) for key, value in extra.items()},
                       np.array(members.get(aggregate_id, ()), dtype=np.intp))
        for aggregate_id, extra in execute_built(session, _EXTRA, {}) if extra)


def operations_by_host(session: orm.Session) -> dict[str, int]:
    """Return how many locked servers each host holds a claim for; the locks are few, whatever the cloud's size."""
    return dict(execute_built(session, _OPERATIONS, {}).tuples().all())


def build_failures_by_name(session: orm.Session, since: float) -> dict[str, int]:
    """Return how many boots failed on each host since, by host name."""
    rows = execute_built(session, _FAILURES, {"since": moment(since)})
    return {str(name): int(count) for name, count in rows}


def counts_column(counts: dict[str, int], row_of: dict[str, int]) -> Numbers:
    """Return the column of these counts."""
    column = np.zeros(len(row_of), dtype=np.int64)
    for key, count in counts.items():
        if key in row_of:
            column[row_of[key]] = count
    return column


def traits_columns(states: Iterable[tuple[str, ...]], size: int) -> dict[str, Mask]:
    """Return for each trait the mask of the hosts that have it."""
    columns: dict[str, Mask] = {}
    for row, traits in enumerate(states):
        for trait in traits:
            columns.setdefault(trait, np.zeros(size, dtype=np.bool_))[row] = True
    return columns


def reals(values: Iterable[float]) -> Reals:
    """Return a column of reals."""
    return np.fromiter(values, dtype=np.float64)
