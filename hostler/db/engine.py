"""Connections and transactions.

Reads run in autocommit (one round trip a statement); writes are functions run in one transaction by `Database.write`,
which repeats them after a deadlock, a serialization failure or a lost connection: such a function must have no effect
outside its session. A database that stays unreachable or busy raises `errors.DatabaseUnavailable`, whatever the
driver said.

>>> database.write(lambda session: session.add(zone))
"""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import event, orm

from hostler import errors
from hostler.db import committed
from hostler.db.commits import UnsureCommit, note_rows
from hostler.db.moments import SharedClock, read_now
from hostler.db.outage import is_away, is_transient
from hostler.db.pool import PatientPool
from hostler.db.reading import ReadSession
from hostler.db.silence import watch
from hostler.db.timeouts import Timeouts, execute_singly

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")
Raise = Callable[[errors.DatabaseUnavailable], BaseException]

# How long writers of one SQLite process queue; they hold nothing that another process could need.
_WRITER_S = 60


# How long a database that took a commit without an answer, or holds the answer to one, is waited for.
_UNSURE_S = 30.0
_ANY = sa.select(sa.literal(1))
# Execution option of connections that only read: they begin no transaction.
_READS: Final = "hostler_reads"


class _Patience:
    """How often and how long a transaction is tried again, with growing pauses."""

    def __init__(self, max_retries: int, seconds: float) -> None:
        self._begun = time.monotonic()
        self._max_retries = max_retries
        self._seconds = seconds
        self._failures = 0

    def is_over(self, *, unsure: bool) -> bool:
        """Count a failure; return whether it is the last. One that leaves a commit `unsure` is worth more waiting."""
        self._failures += 1
        waited_s = time.monotonic() - self._begun
        if unsure:
            # Counted from the request's begin: its client does not wait for longer when it had waited for a host first.
            return max(waited_s, committed.request_age_s()) > max(self._seconds, _UNSURE_S)
        return self._failures > self._max_retries or waited_s > self._seconds

    def pause(self) -> None:
        """Sleep before the next try."""
        time.sleep(random.uniform(0, min(0.02 * 2 ** min(self._failures, 10), 1.0)))


def url_of(conf: cfg.ConfigOpts) -> str:
    """Return the configured URL, or the embedded SQLite file's."""
    return conf.database.connection or f"sqlite:///{Path(conf.state_path) / 'hostler.db'}"


class Database:
    """An engine with the read and write habits of this project."""

    def __init__(self, url: str, *, pool_size: int = 10, max_overflow: int = 40, max_retries: int = 10,
                 patience_s: float = 10.0, timeouts: Timeouts | None = None,
                 sqlite_synchronous: str = "FULL") -> None:
        self.url = sa.make_url(url)
        self._max_retries = max_retries
        self._patience_s = patience_s
        self._as_raised: Raise = lambda error: error
        self._clock = SharedClock()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # SQLite has one writer; queueing here is fair and cheap, its own lock is polled.
        self._writer = threading.Lock() if self.is_sqlite else None
        self.engine = self._make_engine(pool_size, max_overflow, timeouts or Timeouts())
        if self.is_sqlite:
            event.listen(self.engine, "connect", lambda connection, _record: connection.execute(
                f"PRAGMA synchronous={sqlite_synchronous}"))
        self._reader = self.engine.execution_options(**{_READS: True})
        self._read_session = orm.sessionmaker(self._reader, class_=ReadSession, expire_on_commit=False,
                                              autoflush=False)
        self._write_session = orm.sessionmaker(self.engine, expire_on_commit=False)
        event.listen(self._write_session, "after_flush", note_rows)

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Database:
        """Return the database the configuration names."""
        options = conf.database
        return cls(url_of(conf), pool_size=options.pool_size, max_overflow=options.max_overflow,
                   max_retries=options.max_retries, patience_s=options.patience, timeouts=Timeouts.from_conf(conf),
                   sqlite_synchronous=options.sqlite_synchronous)

    def _make_engine(self, pool_size: int, max_overflow: int, timeouts: Timeouts) -> sa.Engine:
        backend = self.url.get_backend_name()
        # The values of a statement, passwords' hashes among them, are no part of what an error says.
        # The connections used last come first, so that those of a burst become old and are closed by the server.
        options: dict[str, Any] = {"hide_parameters": True, "json_deserializer": _read_json,
                                   "poolclass": PatientPool, "pool_size": pool_size,
                                   "max_overflow": max_overflow, "pool_use_lifo": True,
                                   "pool_timeout": timeouts.connect_s,
                                   "connect_args": timeouts.connect_args(backend)}
        if self.is_sqlite:
            path = self.url.database
            if path and path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).touch(mode=0o600)  # it holds password hashes; its journals take over its mode
            options["pool_timeout"] = _WRITER_S
        else:
            options["pool_recycle"] = 3600
        # To switch a connection to autocommit and back costs as much as several statements, or even round trips: all
        # stay in autocommit, and a transaction says BEGIN.
        options["isolation_level"] = "AUTOCOMMIT"
        engine = sa.create_engine(self.url, **options)
        if self.is_sqlite:
            event.listen(engine, "connect", _prepare_sqlite)
        else:
            watch(engine, timeouts)
            event.listen(engine, "connect", lambda connection, _record: timeouts.prepare(backend, connection))
        if backend == "postgresql":
            execute_singly(engine)
            event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "begin", _begin)
        self._clock.follow(engine)
        return engine

    def raising(self, as_raised: Raise) -> Database:
        """Return this database, raising what `as_raised` makes of the error when it is unavailable.

        For callers whose framework would misread an ordinary exception (TaskFlow, in a run).
        """
        other = copy.copy(self)
        other._as_raised = as_raised
        return other

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise DatabaseUnavailable, or what `raising` was given, when the database is unreachable or busy."""
        try:
            yield
        except Exception as error:
            if not is_transient(error, self.engine.dialect):
                raise
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception,
                     kind: type[errors.DatabaseUnavailable] = errors.DatabaseUnavailable) -> BaseException:
        LOG.debug("the database is unavailable: %r", error)
        return self._as_raised(kind())

    @contextlib.contextmanager
    def reading(self) -> Iterator[orm.Session]:
        """Yield a session for reads; what is changed on it is never written.

        After a commit of the same request it waits for an unreachable database: what was accepted is to be answered.
        """
        if committed.has_committed():
            self._wait_until_back()
        with self.translated(), self._read_session() as session:
            yield session

    def now(self) -> dt.datetime:
        """Return the present moment on the database's clock, without a statement once there is a connection."""
        known = self._clock.now()
        return known if known is not None else self.read_clock()

    def read_clock(self) -> dt.datetime:
        """Read the database's clock, for `now` to go by."""
        with self.reading() as session:
            moment = read_now(session)
        self._clock.note(moment)
        return moment

    def write(self, work: Callable[[orm.Session], Result]) -> Result:
        """Run `work(session)` in one transaction and return its result; repeats it after a transient failure.

        Raises OutcomeUnknown when a commit may have been carried out and the database does not come back to tell.
        """
        result = self._write(work, self._write_session)
        committed.note()
        return result

    def write_alone(self, work: Callable[[orm.Session], Result]) -> Result:
        """As `write`, for work that is one statement, which needs no BEGIN and COMMIT beside it.

        A lost answer makes it run twice.
        """
        return self._write(work, self._read_session)

    def _write(self, work: Callable[[orm.Session], Result], sessions: Callable[[], orm.Session]) -> Result:
        patience = _Patience(self._max_retries, self._patience_s)
        unsure: list[UnsureCommit[Result]] = []
        looked_again = False
        while True:
            try:
                for lost in unsure:
                    if self._is_durable(lost):
                        return lost.result
                return self._write_once(work, sessions, unsure)
            except Exception as error:
                if not is_transient(error, self.engine.dialect):
                    # A commit that was still at work when we looked may be what this repetition collided with.
                    if not unsure or looked_again:
                        raise
                    looked_again = True
                elif patience.is_over(unsure=bool(unsure)):
                    raise self._unavailable(error, errors.OutcomeUnknown if unsure else errors.DatabaseUnavailable) \
                        from error
                LOG.debug("transaction tried again: %r", error)
                patience.pause()

    def _wait_until_back(self) -> None:
        patience = _Patience(self._max_retries, self._patience_s)
        while True:
            try:
                with self._reader.connect() as connection:
                    connection.execute(_ANY)
                return
            except Exception as error:
                if not is_transient(error, self.engine.dialect):
                    raise
                if patience.is_over(unsure=True):
                    raise self._unavailable(error, errors.OutcomeUnknown) from error
                patience.pause()

    def _write_once(self, work: Callable[[orm.Session], Result], sessions: Callable[[], orm.Session],
                    unsure: list[UnsureCommit[Result]]) -> Result:
        """Run one transaction; a commit that may have been carried out is added to `unsure`."""
        with self._alone(), sessions() as session:
            result = work(session)
            session.flush()
            try:
                session.commit()
            except Exception as error:
                if is_away(error, self.engine.dialect):
                    unsure.append(UnsureCommit.of(session, result))
                # The transaction may still be open on this connection (a full disk under SQLite); its next user
                # would see what is not committed.
                session.invalidate()
                raise
            return result

    def _is_durable(self, unsure: UnsureCommit[Any]) -> bool:
        with self._read_session() as session:
            return unsure.is_durable(session)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=_WRITER_S):
            raise sa.exc.TimeoutError("another thread has been writing for too long")
        try:
            yield
        finally:
            self._writer.release()

    def lock_row(self, session: orm.Session, model: type[Any], *criteria: Any) -> None:
        """Hold the rows matching `criteria` until the transaction ends (SQLite: the only writer holds all)."""
        if not self.is_sqlite:
            session.execute(sa.select(sa.literal(1)).select_from(model).where(*criteria).with_for_update())

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _read_json(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)  # it also reads what only our own serializer writes: NaN, halves of surrogate pairs


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    # LIKE heeds case as it does in PostgreSQL, so that a filter finds the same rows on every database.
    for pragma in ("case_sensitive_like=ON", "journal_mode=WAL", "foreign_keys=ON", "cache_size=-16000",
                   "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    # More than all statements a process uses; psycopg's default drops and prepares them in turns.
    connection.prepared_max = 1000
    # By default a statement is parsed five times first, on each connection.
    connection.prepare_threshold = 1


def _begin(connection: sa.Connection) -> None:
    if _READS not in connection.get_execution_options():
        # SQLite: at once the writer, not at the first change, which could then come too late.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "START TRANSACTION")
