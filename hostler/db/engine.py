"""Connections and transactions.

Reads run in autocommit (one round trip a statement); writes are functions run in one transaction by `Database.write`,
which runs them again after a deadlock, a serialisation failure or a lost connection: such a function must have no
effect outside its session.

>>> database.write(lambda session: session.add(zone))
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import event, exc, orm

from hostler.db.outage import is_away

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

# PostgreSQL SQLSTATEs and MariaDB error numbers after which the same transaction may succeed.
_TRANSIENT_SQLSTATES = frozenset({"40001", "40P01", "55P03"})
_TRANSIENT_MYSQL = frozenset({1205, 1213, 1020})


def url_of(conf: cfg.ConfigOpts) -> str:
    """Return the configured URL, or the embedded SQLite file's."""
    return conf.database.connection or f"sqlite:///{Path(conf.state_path) / 'hostler.db'}"


class Database:
    """An engine with the read and write habits of this project."""

    def __init__(self, url: str, *, pool_size: int = 10, max_overflow: int = 40, max_retries: int = 10) -> None:
        self.url = sa.make_url(url)
        self._max_retries = max_retries
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # SQLite has one writer; queueing here is fair and cheap, its own lock is polled.
        self._writer: contextlib.AbstractContextManager[Any] = (
            threading.Lock() if self.is_sqlite else contextlib.nullcontext())
        self.engine = self._make_engine(pool_size, max_overflow)
        self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._read_session = orm.sessionmaker(self._reader, expire_on_commit=False, autoflush=False)
        self._write_session = orm.sessionmaker(self.engine, expire_on_commit=False)

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> Database:
        """Return the database the configuration names."""
        options = conf.database
        return cls(url_of(conf), pool_size=options.pool_size, max_overflow=options.max_overflow,
                   max_retries=options.max_retries)

    def _make_engine(self, pool_size: int, max_overflow: int) -> sa.Engine:
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": max_overflow, "pool_timeout": 60}
        if self.is_sqlite:
            path = self.url.database
            if path and path != ":memory:":
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).touch(mode=0o600)  # it holds password hashes; its journals take over its mode
            options["connect_args"] = {"timeout": 60, "check_same_thread": False}
            options["poolclass"] = sa.QueuePool
        else:
            # MariaDB's default lets a transaction's reads see the database as of its first read, so that sums taken
            # after a lock would be old. PostgreSQL does this by itself.
            options["isolation_level"] = "READ COMMITTED"
            options["pool_pre_ping"] = True
            options["pool_recycle"] = 3600
        engine = sa.create_engine(self.url, **options)
        if self.is_sqlite:
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextlib.contextmanager
    def reading(self) -> Iterator[orm.Session]:
        """Yield a session for reads; what is changed on it is never written."""
        with self._read_session() as session:
            yield session

    def write(self, work: Callable[[orm.Session], Result]) -> Result:
        """Run `work(session)` in one transaction and return its result; runs it again on a transient failure."""
        attempt = 0
        while True:
            try:
                with self._writer, self._write_session() as session:
                    result = work(session)
                    session.commit()
                    return result
            except exc.DBAPIError as error:
                attempt += 1
                if attempt > self._max_retries or not _is_transient(error):
                    raise
                LOG.debug("transaction tried again (%s): %s", attempt, error.orig)
                time.sleep(random.uniform(0, min(0.02 * 2 ** attempt, 1.0)))

    def lock_row(self, session: orm.Session, model: type[Any], *criteria: Any) -> None:
        """Hold the rows matching `criteria` until the transaction ends (SQLite: the only writer holds all)."""
        if not self.is_sqlite:
            session.execute(sa.select(sa.literal(1)).select_from(model).where(*criteria).with_for_update())

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    # LIKE heeds case as it does in PostgreSQL, so that a filter finds the same rows on every database.
    for pragma in ("case_sensitive_like=ON", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON",
                   "busy_timeout=60000", "cache_size=-16000", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    if not _is_autocommit(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_autocommit(connection: sa.Connection) -> bool:
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def _is_transient(error: exc.DBAPIError) -> bool:
    if is_away(error):
        return True
    original = error.orig
    if getattr(original, "sqlstate", None) in _TRANSIENT_SQLSTATES:
        return True
    number = original.args[0] if original is not None and original.args else None
    return number in _TRANSIENT_MYSQL or "database is locked" in str(original)
