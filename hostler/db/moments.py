"""The database's clock, the one clock that all nodes of a cloud share.

What one node writes and another compares with the present (leases, delays, signs of life) is written and compared in
SQL, on this clock: a node whose own clock is minutes off then neither breaks a lease nor waits for hours. Spans within
one process are measured with its monotonic clock.

>>> update(Operation).values(lease_until=now(15))
>>> select(Host.name).where(Host.last_seen_at > now(-20))
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, orm
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

# MariaDB drops fractions of a second by default.
Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


class now(FunctionElement[dt.datetime]):
    """The present moment in UTC, or `offset_s` seconds later (earlier when negative)."""

    name = "now_utc"
    type = Moment
    inherit_cache = True

    def __init__(self, offset_s: float | sa.ColumnElement[float] = 0.0) -> None:
        super().__init__(offset_s if isinstance(offset_s, sa.ColumnElement) else sa.literal(offset_s, sa.Float()))


@compiles(now)
def _standard(element: Any, compiler: Any, **options: Any) -> str:
    offset = compiler.process(element.clauses, **options)
    return f"(timezone('utc', clock_timestamp()) + make_interval(secs => CAST({offset} AS double precision)))"


@compiles(now, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    offset = compiler.process(element.clauses, **options)
    # The text in which SQLAlchemy stores a DateTime; SQLite counts milliseconds.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', {offset}))"


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _mysql(element: Any, compiler: Any, **options: Any) -> str:
    offset = compiler.process(element.clauses, **options)
    return f"(UTC_TIMESTAMP(6) + INTERVAL ROUND({offset} * 1000000) MICROSECOND)"


def read_now(session: orm.Session) -> dt.datetime:
    """Return the present moment on the database's clock."""
    return session.scalars(sa.select(now())).one()


class SharedClock:
    """The database's clock as this process knows it: the last reading, and the time since on the monotonic clock.

    For what is compared in Python; it costs no statement. Each new connection and each sign of life reads it again.
    """

    def __init__(self) -> None:
        self._reading: tuple[dt.datetime, float] | None = None

    def follow(self, engine: sa.Engine) -> None:
        """Take a reading from each new connection of `engine`."""
        statement = str(sa.select(now()).compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True}))

        def read(connection: Any, _record: object) -> None:
            cursor = connection.cursor()
            cursor.execute(statement)
            [moment] = cursor.fetchone()
            cursor.close()
            connection.rollback()
            self.note(dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment)

        event.listen(engine, "connect", read)

    def note(self, moment: dt.datetime) -> None:
        """Remember a reading that was made just now."""
        self._reading = moment, _monotonic()

    def now(self) -> dt.datetime | None:
        """Return the present moment in UTC, None before the first reading."""
        if self._reading is None:
            return None
        moment, at = self._reading
        return moment + dt.timedelta(seconds=_monotonic() - at)


def _monotonic() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # also counts while the machine sleeps
