"""Transactions: written once, run again after a transient failure, serial on SQLite."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import event, exc, orm

from hostler import errors
from hostler.db import engine
from hostler.db.engine import Database
from hostler.db.models import Zone
from tests.harness import databases


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = databases.opened(f"sqlite:///{tmp_path / 'test.db'}")
    yield made
    made.dispose()


def _names(db: Database) -> set[str]:
    with db.reading() as session:
        return set(session.scalars(sa.select(Zone.name)))


def test_a_failed_transaction_leaves_nothing(db: Database) -> None:
    def work(session: orm.Session) -> None:
        session.add(Zone(name="a"))
        session.flush()
        raise ValueError

    with pytest.raises(ValueError):
        db.write(work)
    assert _names(db) == set()


def test_a_transient_failure_runs_the_transaction_again(db: Database) -> None:
    tries = []

    def work(session: orm.Session) -> str:
        tries.append(1)
        session.add(Zone(name="a"))
        session.flush()
        if len(tries) < 3:
            raise exc.OperationalError("INSERT", {}, Exception("database is locked"))
        return "done"

    assert db.write(work) == "done"
    assert len(tries) == 3
    assert _names(db) == {"a"}


def test_a_lasting_failure_is_raised_at_once(db: Database) -> None:
    tries = []

    def work(session: orm.Session) -> None:
        tries.append(1)
        session.execute(sa.text("SELECT * FROM nowhere"))

    with pytest.raises(exc.OperationalError):
        db.write(work)
    assert len(tries) == 1


def test_read_and_change_do_not_interleave(db: Database) -> None:
    db.write(lambda session: session.add(Zone(name="counter", description="0")))

    def add_one(session: orm.Session) -> None:
        db.lock_row(session, Zone, Zone.name == "counter")
        zone = session.scalars(sa.select(Zone).where(Zone.name == "counter")).one()
        zone.description = str(int(zone.description or "0") + 1)

    threads = [threading.Thread(target=lambda: [db.write(add_one) for _ in range(10)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.reading() as session:
        assert session.scalar(sa.select(Zone.description)) == "80"


def test_a_failed_commit_does_not_spoil_its_connection(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a commit that fails and leaves its transaction open (a full disk), then the next write works."""
    def fail(_connection: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(db.engine.dialect, "do_commit", fail)
        full.setattr(db, "_max_retries", 1)
        full.setattr(engine, "_UNSURE_S", 0.5)
        full.setattr(db, "_patience_s", 0.5)
        with pytest.raises(errors.DatabaseUnavailable):
            db.write(lambda session: session.add(Zone(name="lost")))
    db.write(lambda session: session.add(Zone(name="kept")))
    assert _names(db) == {"kept"}


@contextlib.contextmanager
def _broken_at(db: Database, number: int) -> Iterator[None]:
    """Let the connection turn out to be dead at the given statement, as after a restart of the database."""
    statements = itertools.count(1)

    def fail(_connection: object, _cursor: object, text: str, *_rest: object) -> None:
        if next(statements) == number:
            raise exc.OperationalError(text, {}, Exception("gone"), connection_invalidated=True)

    event.listen(db.engine, "before_cursor_execute", fail)
    yield
    event.remove(db.engine, "before_cursor_execute", fail)


@pytest.mark.parametrize("read", [
    lambda session: session.scalar(sa.select(Zone.name)), lambda session: session.scalars(sa.select(Zone.name)).one(),
    lambda session: session.execute(sa.select(Zone.name)).scalar_one(), lambda session: session.get(Zone, "1").name])
def test_a_reading_outlives_a_connection_that_broke_in_the_pool(
        db: Database, read: Callable[[orm.Session], str]) -> None:
    db.write(lambda session: session.add(Zone(id="1", name="kept")))
    with _broken_at(db, 1), db.reading() as session:
        assert read(session) == "kept"


def test_a_write_outlives_a_connection_that_broke_in_the_pool(db: Database) -> None:
    with _broken_at(db, 1):
        db.write(lambda session: session.add(Zone(name="kept")))
    assert _names(db) == {"kept"}


def test_a_connection_that_breaks_within_a_reading_ends_it(db: Database) -> None:
    """Rows loaded before would lose their values if the session went on by itself."""
    with _broken_at(db, 2), pytest.raises(errors.DatabaseUnavailable), db.reading() as session:
        session.scalar(sa.select(Zone.name))
        session.scalar(sa.select(Zone.name))
