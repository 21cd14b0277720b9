"""Reports of many hosts that say nothing new, written by one statement.

The naive way writes each as it comes: with thousands of hosts that is a transaction every few milliseconds, for ever.
Here the reports that come within `GATHER_S` are written together, each answered when it is written (`conductor.fencing`
counts on that), and one that comes alone does not wait. The price: up to `GATHER_S` until an answer.

Only PostgreSQL takes many at once; on the other databases each is a statement of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, Final, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from hostler.db.engine import Database
from hostler.db.models import Host
from hostler.db.moments import now

GATHER_S: Final = 0.05
_HOSTS = cast(sa.Table, Host.__table__)


class Report(NamedTuple):
    """What a host's report comes down to when it says nothing new."""

    host: str
    digest: str
    fence: int
    uptime: int


_ONE = sa.update(_HOSTS).where(
    _HOSTS.c.name == sa.bindparam("host"), _HOSTS.c.report_digest == sa.bindparam("digest"),
    _HOSTS.c.fence_generation == sa.bindparam("fence")).values(
    last_seen_at=now(), uptime_s=sa.bindparam("uptime"), updated_at=_HOSTS.c.updated_at)


def _many() -> Any:
    types: dict[str, Any] = {"host": sa.String(), "digest": sa.String(), "fence": sa.Integer(), "uptime": sa.Integer()}
    sent = sa.func.unnest(*(sa.bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in types.items())
                          ).table_valued(*(sa.column(name, kind) for name, kind in types.items()), name="sent"
                                         ).render_derived()
    # A row that somebody holds, perhaps for long, must not keep the other hosts from being seen.
    free = sa.select(_HOSTS.c.id, sent.c.uptime).join(sent, sa.and_(
        _HOSTS.c.name == sent.c.host, _HOSTS.c.report_digest == sent.c.digest,
        _HOSTS.c.fence_generation == sent.c.fence)).with_for_update(of=_HOSTS, skip_locked=True).cte("free")
    return sa.update(_HOSTS).where(_HOSTS.c.id == free.c.id).values(
        last_seen_at=now(), uptime_s=free.c.uptime, updated_at=_HOSTS.c.updated_at).returning(_HOSTS.c.name)


_MANY = _many()


class HeartbeatBatches:
    """Writes reports; one instance serves all threads of a conductor."""

    def __init__(self, db: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        self._clock = clock
        self._together = db.engine.dialect.name == "postgresql"
        self._lock = threading.Lock()
        self._waiting: list[tuple[Report, futures.Future[bool]]] = []
        self._written_at = float("-inf")
        self._writer = futures.ThreadPoolExecutor(1, thread_name_prefix="heartbeats")

    def write(self, report: Report) -> bool:
        """Note that a host lives; returns False, and has written nothing, when its report may say something new."""
        if not self._together:
            return write_one(self._db, report)
        answer: futures.Future[bool] = futures.Future()
        with self._lock:
            self._waiting.append((report, answer))
            if len(self._waiting) == 1:
                self._writer.submit(self._write_waiting)
        # A host whose row was held is seen all the same, as soon as it is free.
        return answer.result() or write_one(self._db, report)

    def _write_waiting(self) -> None:
        time.sleep(max(0.0, min(GATHER_S, self._written_at + GATHER_S - self._clock())))
        with self._lock:
            waiting, self._waiting = self._waiting, []
        self._written_at = self._clock()
        try:
            written = write_many(self._db, [report for report, _ in waiting])
        except BaseException as error:  # noqa: BLE001 - each of those that wait raises it
            for _, answer in waiting:
                answer.set_exception(error)
            return
        for report, answer in waiting:
            answer.set_result(report.host in written)


def write_one(db: Database, report: Report) -> bool:
    """Write one report; returns as `HeartbeatBatches.write`."""
    return bool(db.write_alone(lambda session: session.connection().execute(_ONE, report._asdict()).rowcount))


def write_many(db: Database, reports: Sequence[Report]) -> set[str]:
    """Write reports on PostgreSQL; returns the hosts of those that say nothing new, without those whose row is held."""
    arrays = {name: [getattr(report, name) for report in reports] for name in Report._fields}
    return set(db.write_alone(lambda session: session.connection().execute(_MANY, arrays).scalars().all()))
