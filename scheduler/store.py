"""Keeps the snapshot fresh: reads what changed, applies this process's own claims at once.

Snapshots are renewed on demand (an idle scheduler reads nothing): one thread reads while the others decide on the last
one. Most renewals read a few rows: hosts whose `changed_at` lies within an overlap of the last reading and whose
generation or `changed_at` is new, and the latest reports. From time to time everything is read again.

`used` and `generation` of a host always change together, under the lock, and `generation` never goes back: a claim
that names a generation relies on the use as of that generation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from oslo_config import cfg
from sqlalchemy import orm

from hostler.db.engine import Database
from hostler.resources.server.allocations import Amounts, Claimed
from scheduler import reading
from scheduler.reading import HostState
from scheduler.request import Request
from scheduler.snapshot import Category, Mask, Numbers, Reals, Snapshot

# A row is looked at again for this long after its `changed_at`: transactions commit late and clocks differ.
OVERLAP_S = 10.0
# A host that fell silent within this many seconds may come back.
SILENT_S = 300.0
# Failed boots are counted again after this many seconds.
FAILURES_S = 10.0
# Before a request is refused every host is read again, unless that was done within so many seconds.
FORCED_S = 5.0
# A snapshot older than this many refresh intervals is not decided on while another thread renews it.
_TOO_OLD = 5


class Store:
    """The newest snapshot of one scheduler."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, now: Callable[[], float] | None = None) -> None:
        self._options = conf.scheduler
        self._down_time_s = float(conf.service_down_time)
        self._db = db
        self.now = now or (lambda: reading.seconds(db.now()))
        self._reading = threading.Lock()  # one thread reads the database
        self._lock = threading.Lock()  # guards what follows, for moments
        self._snapshot: Snapshot | None = None
        self._states: list[HostState] = []
        self._zones: dict[str, str] = {}
        self._aggregates_mark: tuple[Any, ...] = ()
        self._full_at = self._seen_at = self._failures_at = 0.0

    def current(self) -> Snapshot:
        """Return a snapshot that is no older than the configuration allows."""
        snapshot = self._snapshot
        age = self.now() - snapshot.read_at if snapshot is not None else float("inf")
        if snapshot is not None and 0 <= age < self._options.refresh_interval:
            return snapshot
        must_wait = snapshot is None or age > _TOO_OLD * self._options.refresh_interval
        return self._renew(wait=must_wait, seen=snapshot)

    def read_since(self, moment: float) -> Snapshot:
        """Return a snapshot read after `moment` with all that can be known; threads that wait share one reading.

        Every host is read unless that was done a few seconds ago: then what changed since is enough, and requests
        that nobody can fulfil do not keep the scheduler reading.
        """
        with self._reading:
            newest = self._snapshot
            if newest is None or not 0 <= self.now() - self._full_at < FORCED_S:
                return self._read_all()
            if newest.read_at > moment:
                return newest
            self._seen_at = min(self._seen_at, self.now() - self._down_time_s)
            return self._read_changes(newest)

    def _renew(self, *, wait: bool, seen: Snapshot | None) -> Snapshot:
        if not self._reading.acquire(blocking=wait):
            assert seen is not None
            return seen
        try:
            newest = self._snapshot
            if newest is not None and newest is not seen:
                return newest  # renewed while this thread waited
            now = self.now()
            if newest is None or not 0 <= now - self._full_at < self._options.full_refresh_interval:
                return self._read_all()
            return self._read_changes(newest)
        finally:
            self._reading.release()

    def _read_all(self) -> Snapshot:
        now = self.now()
        with self._db.reading() as session:
            states = reading.all_hosts(session)
            self._zones = reading.zone_names(session)
            row_of = {state.id: row for row, state in enumerate(states)}
            self._aggregates_mark = reading.aggregates_mark(session)
            columns = {
                "aggregates": reading.aggregates(session, row_of),
                "io_ops": reading.counts_column(reading.operations_by_host(session), row_of),
                "build_failures": self._build_failures(session, [state.name for state in states], now),
            }
        self._full_at = self._seen_at = now
        return self._install(states, columns, now, reading.reals(state.last_seen for state in states))

    def _read_changes(self, newest: Snapshot) -> Snapshot:
        now = self.now()
        with self._db.reading() as session:
            news = self._news(session, newest)
            if news is not None:
                changed = reading.hosts(session, news) if news else []
                if any(state.zone_id not in self._zones for state in changed):
                    self._zones = reading.zone_names(session)
                last_seen = self._last_seen(session, newest, now)
                columns = self._light_columns(session, newest, now)
        if news is None:
            return self._read_all()
        if any(not state.looks_like(self._states[newest.row_of[state.id]]) for state in changed):
            states = _merged(self._states, changed, newest.row_of)
            return self._install(states, {"aggregates": newest.aggregates, **columns}, now, last_seen)
        columns.update(_liveness(newest.in_service, last_seen, now, self._down_time_s))
        if changed:
            columns.update(_patched(newest, changed))
            self._states = _merged(self._states, changed, newest.row_of)
        return self._publish(newest.renewed(read_at=now, **columns))

    def _news(self, session: orm.Session, newest: Snapshot) -> list[str] | None:
        """Return the ids of the hosts to read again; None when one of them is new to us."""
        news = []
        for host_id, generation, changed_at in reading.changes(session, newest.read_at - OVERLAP_S):
            row = newest.row_of.get(host_id)
            if row is None:
                return None
            if changed_at != self._states[row].changed_at or generation > int(newest.generation[row]):
                news.append(host_id)
        return news

    def _last_seen(self, session: orm.Session, newest: Snapshot, now: float) -> Reals:
        """Return when each host reported last, read eight times in `service_down_time`: it is a row a host."""
        if 0 <= now - self._seen_at < self._down_time_s / 8:
            return newest.last_seen
        last_seen = newest.last_seen.copy()
        for host_id, seen in reading.seen_since(session, self._seen_at - OVERLAP_S):
            if host_id in newest.row_of:
                last_seen[newest.row_of[host_id]] = seen
        self._seen_at = now
        return last_seen

    def _light_columns(self, session: orm.Session, newest: Snapshot, now: float) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "io_ops": reading.counts_column(reading.operations_by_host(session), newest.row_of)}
        if not 0 <= now - self._failures_at < FAILURES_S:
            columns["build_failures"] = self._build_failures(session, newest.names, now)
        else:
            columns["build_failures"] = newest.build_failures
        mark = reading.aggregates_mark(session)
        if mark != self._aggregates_mark:
            columns["aggregates"] = reading.aggregates(session, newest.row_of)
            self._aggregates_mark = mark
        return columns

    def _build_failures(self, session: orm.Session, names: Sequence[str], now: float) -> Numbers:
        self._failures_at = now
        counts = reading.build_failures_by_name(session, now - self._options.build_failure_window)
        return reading.counts_column(counts, {name: row for row, name in enumerate(names)})

    def _install(self, states: Sequence[HostState], columns: dict[str, Any], now: float,
                 last_seen: Reals) -> Snapshot:
        """Build the columns of `states` and publish them."""
        in_service = np.array([state.in_service for state in states], dtype=np.bool_)
        default_zone = self._options.default_availability_zone
        snapshot = Snapshot(
            read_at=now,
            ids=tuple(state.id for state in states), names=tuple(state.name for state in states),
            row_of={state.id: row for row, state in enumerate(states)},
            row_named={state.name: row for row, state in enumerate(states)},
            generation=np.array([state.generation for state in states], dtype=np.int64),
            capacity=_amounts(state.capacity for state in states), used=_amounts(state.used for state in states),
            enabled=np.array([state.enabled for state in states], dtype=np.bool_), in_service=in_service,
            zone=Category.of([self._zones.get(state.zone_id, default_zone) for state in states]),
            arch=Category.of([state.arch for state in states]),
            hypervisor_type=Category.of([state.hypervisor_type for state in states]),
            traits=reading.traits_columns([state.traits for state in states], len(states)),
            **_liveness(in_service, last_seen, now, self._down_time_s), **columns)
        self._states = list(states)
        return self._publish(snapshot)

    def _publish(self, snapshot: Snapshot) -> Snapshot:
        """Make `snapshot` the newest, keeping what this process's claims know better than the read did."""
        with self._lock:
            previous = self._snapshot
            if previous is not None and previous.generation is not snapshot.generation:
                _keep_newer(previous, snapshot)
            self._snapshot = snapshot
        return snapshot

    def generation_if_fits(self, host_id: str, request: Request) -> int | None:
        """Return the host's generation as of which the request fits, or None when it fits as of none known."""
        with self._lock:
            snapshot = self._snapshot
            if snapshot is None or host_id not in snapshot.row_of:
                return None
            row = snapshot.row_of[host_id]
            used = Amounts(*(int(value) for value in snapshot.used[:, row]))
            limit = Amounts(*(int(value) for value in snapshot.capacity[:, row]))
            return int(snapshot.generation[row]) if used.plus(request.wanted).within(limit) else None

    def apply(self, host_id: str, request: Request, claimed: Claimed) -> None:
        """Take note of a claim that was committed."""
        with self._lock:
            snapshot = self._snapshot
            if snapshot is None or host_id not in snapshot.row_of:
                return
            row = snapshot.row_of[host_id]
            snapshot.io_ops[row] += 1
            if claimed.generation <= int(snapshot.generation[row]):
                return  # a read has seen it already
            if claimed.used is not None:
                snapshot.used[:, row] = claimed.used
                snapshot.generation[row] = claimed.generation
            elif claimed.generation == int(snapshot.generation[row]) + 1:
                snapshot.used[:, row] += request.wanted
                snapshot.generation[row] = claimed.generation
            # Else this claim built on a generation that is no longer here; the next read brings it.


def _liveness(in_service: Mask, last_seen: Reals, now: float, down_time_s: float) -> dict[str, Any]:
    up = in_service & (last_seen >= now - down_time_s)
    return {"last_seen": last_seen, "up": up, "silent": in_service & ~up & (last_seen >= now - SILENT_S)}


def _amounts(amounts: Iterable[Amounts]) -> Numbers:
    return np.array(list(amounts), dtype=np.int64).reshape(-1, 3).T.copy()


def _merged(known: Sequence[HostState], changed: Iterable[HostState], row_of: dict[str, int]) -> list[HostState]:
    states = list(known)
    for state in changed:
        states[row_of[state.id]] = state
    return states


def _patched(newest: Snapshot, changed: Iterable[HostState]) -> dict[str, Any]:
    generation, used = newest.generation.copy(), newest.used.copy()
    for state in changed:
        row = newest.row_of[state.id]
        generation[row] = state.generation
        used[:, row] = state.used
    return {"generation": generation, "used": used}


def _keep_newer(previous: Snapshot, snapshot: Snapshot) -> None:
    """Carry over the use and generation of rows that claims moved past what was read."""
    if previous.ids == snapshot.ids:
        newer = previous.generation > snapshot.generation
        snapshot.generation[newer] = previous.generation[newer]
        snapshot.used[:, newer] = previous.used[:, newer]
        return
    for host_id, row in snapshot.row_of.items():
        old = previous.row_of.get(host_id)
        if old is not None and previous.generation[old] > snapshot.generation[row]:
            snapshot.generation[row] = previous.generation[old]
            snapshot.used[:, row] = previous.used[:, old]
