"""A database server that is stopped (SIGSTOP) keeps its connections, and answers on none of them; and a stopped client
keeps its transaction until the server ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
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
from tests.harness.ports import wait_for

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
        with contextlib.suppress(ProcessLookupError):  # a session may end at any moment
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


_FREEZING = """
import os, signal, sys
import sqlalchemy as sa
from hostler.db.engine import Database
from hostler.db.models import Zone
from hostler.db.timeouts import Timeouts

def rows():
    for number in range(20000):
        yield {"key": "one", "text": "x" * 200}

db = Database(sys.argv[1], timeouts=Timeouts(idle_transaction_s=1))
statement = sa.update(Zone).where(Zone.name == sa.bindparam("key")).values(description=sa.bindparam("text"))
print("ready", flush=True)
db.write(lambda session: session.connection().execute(statement, list(rows())))
"""


def test_a_client_frozen_in_a_list_of_statements_loses_its_transaction(server: Server) -> None:
    db = Database(server.url, timeouts=Timeouts(connect_s=1, lock_s=1), patience_s=20, max_retries=100)
    Base.metadata.create_all(db.engine)
    db.write(lambda session: session.add(Zone(name="one", description="")))
    client = subprocess.Popen([sys.executable, "-c", _FREEZING, server.url], stdout=subprocess.PIPE)
    try:
        assert client.stdout is not None
        client.stdout.readline()
        wait_for(lambda: _is_locked(db), "the client's transaction", 60)
        client.send_signal(signal.SIGSTOP)
        _write(db)
    finally:
        client.kill()
        client.wait()
        db.dispose()


def _is_locked(db: Database) -> bool:
    try:
        with db.engine.begin() as connection:
            connection.execute(sa.select(Zone.name).with_for_update(skip_locked=True)).one()
    except sa.exc.NoResultFound:
        return True
    return False
