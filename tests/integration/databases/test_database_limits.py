"""On each database server: nothing waits without limit, and the drivers' own errors are told as ours."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.db.engine import Database
from hostler.db.models import Base, Zone
from hostler.db.timeouts import Timeouts
from tests.harness.fixtures import database_url
from tests.harness.ports import wait_for

__all__ = ["database_url"]

LIMITS = Timeouts(connect_s=2, lock_s=1, statement_s=2, idle_transaction_s=3)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    made = Database(database_url, patience_s=0.5, timeouts=LIMITS, pool_size=2, max_overflow=0)
    Base.metadata.drop_all(made.engine)
    Base.metadata.create_all(made.engine)
    made.write(lambda session: session.add(Zone(name="held", description="")))
    yield made
    made.dispose()


def _touch(session: orm.Session) -> None:
    session.execute(sa.update(Zone).where(Zone.name == "held").values(description="touched"))


def test_a_row_that_is_held_is_not_waited_for_without_limit(db: Database) -> None:
    """Given a process that froze within a transaction, then others are told soon, and its rows are free later."""
    with db.engine.connect() as frozen:
        frozen.execute(sa.update(Zone).where(Zone.name == "held").values(description="frozen"))
        started = time.monotonic()
        with pytest.raises(errors.DatabaseUnavailable):
            Database.write(_other(db), _touch)
        assert time.monotonic() - started < 10
        if db.is_sqlite:
            return  # has no limit for transactions; none but this machine's processes can hold one
        other = _other(db)
        wait_for(lambda: _can(other, _touch), "the frozen transaction is ended", timeout_s=20, every_s=0.1)
        other.dispose()
        frozen.invalidate()


def _other(db: Database) -> Database:
    return Database(db.url.render_as_string(hide_password=False), patience_s=0.5, timeouts=LIMITS)


def _can(db: Database, work: object) -> bool:
    try:
        db.write(work)  # type: ignore[arg-type]
    except errors.DatabaseUnavailable:
        return False
    return True


def test_a_statement_that_takes_too_long_is_ended(db: Database) -> None:
    if db.is_sqlite:
        pytest.skip("SQLite has no such limit")
    sleep = "SELECT pg_sleep(30)" if db.url.get_backend_name() == "postgresql" else "SELECT SLEEP(30)"
    started = time.monotonic()
    with pytest.raises(errors.DatabaseUnavailable), db.reading() as session:
        session.execute(sa.text(sleep))
    assert time.monotonic() - started < 10


def test_an_exhausted_pool_is_told_as_the_database(db: Database) -> None:
    if db.is_sqlite:
        pytest.skip("SQLite's writers queue for longer")
    with db.engine.connect(), db.engine.connect():
        started = time.monotonic()
        with pytest.raises(errors.DatabaseUnavailable), db.reading() as session:
            session.execute(sa.select(Zone.id))
        assert time.monotonic() - started < 10


def test_connections_that_the_server_closed_are_replaced(db: Database) -> None:
    """Also where the driver finds out while the connection leaves the pool, outside any statement."""
    if db.is_sqlite:
        pytest.skip("no server")
    is_postgres = db.url.get_backend_name() == "postgresql"
    with db.engine.connect() as connection:
        victim = connection.exec_driver_sql(
            "SELECT pg_backend_pid()" if is_postgres else "SELECT CONNECTION_ID()").scalar()
    other = _other(db)
    with other.engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend({victim})" if is_postgres else f"KILL {victim}")
    other.dispose()
    with db.reading() as session:
        assert session.scalar(sa.select(Zone.name)) == "held"
    db.write(_touch)
    with db.reading() as session:
        assert session.scalar(sa.select(Zone.description)) == "touched"
