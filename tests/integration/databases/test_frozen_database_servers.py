"""A database server that is stopped (SIGSTOP) keeps its connections, and answers on none of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hostler import errors
from hostler.db.engine import Database
from hostler.db.models import Base, Zone
from hostler.db.timeouts import Timeouts
from tests.harness import backends, databases, mariadb

LIMITS = Timeouts(connect_s=1, lock_s=1, statement_s=60)
# For a wait, a look and a new connection; the longest statement may take four times as long.
SOON_S = 15

Server = backends.Postgres | mariadb.MariaDB


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A database server of its own."""
    if reason := databases.missing(request.param):
        pytest.skip(reason)
    made: Server = backends.Postgres() if request.param == "postgresql" else mariadb.MariaDB(tmp_path)
    made.start()
    try:
        yield made
    finally:
        _signal(made, signal.SIGCONT)
        made.stop()


def _signal(server: Server, number: signal.Signals) -> None:
    for pid in server.pids():
        os.kill(pid, number)


def _read(db: Database) -> None:
    with db.reading() as session:
        session.scalars(sa.select(Zone.name)).all()


def _write(db: Database) -> None:
    db.write(lambda session: session.execute(sa.update(Zone).values(description="written")))


def test_nobody_waits_for_a_frozen_server(server: Server) -> None:
    db = Database(server.url, timeouts=LIMITS, patience_s=1, pool_size=2)
    Base.metadata.create_all(db.engine)
    db.write(lambda session: session.add(Zone(name="one", description="")))
    _signal(server, signal.SIGSTOP)
    took: dict[str, float] = {}

    def ask(name: str, work: Callable[[Database], None]) -> None:
        started = time.monotonic()
        with pytest.raises(errors.DatabaseUnavailable):
            work(db)
        took[name] = time.monotonic() - started

    threads = [threading.Thread(target=ask, args=(f"{work.__name__} {number}", work), daemon=True)
               for work in (_read, _write) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SOON_S)
    print(took)
    assert len(took) == 8 and max(took.values()) < SOON_S
    _signal(server, signal.SIGCONT)
    _read(db)
    _write(db)
    db.dispose()


def test_a_server_that_is_busy_with_a_statement_is_waited_for(server: Server) -> None:
    db = Database(server.url, timeouts=LIMITS)
    name = "pg_sleep" if isinstance(server, backends.Postgres) else "sleep"
    with db.reading() as session:
        session.execute(sa.text(f"SELECT {name}(5)"))
        assert session.scalar(sa.text("SELECT 1")) == 1
    db.dispose()
