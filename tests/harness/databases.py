"""Empty databases: quickly made ones in SQLite, and one of each kind the product supports for tests that must hold on
all of them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import orm

from hostler.db.engine import Database
from hostler.db.models import Base
from tests.harness import backends, mariadb

KINDS = ("sqlite", "postgresql", "mariadb")


def create_tables(db: Database) -> None:
    """Create every table, without the migrations' history."""
    Base.metadata.create_all(db.engine)


def prepare(db: Database, make: Callable[[Database], None] = create_tables) -> Database:
    """Give a database its schema; returns it.

    An empty SQLite file becomes a copy of one that `make` filled once: sixty tables are most of a small test's time.
    """
    if db.is_sqlite and not Path(str(db.url.database)).stat().st_size:
        shutil.copyfile(_filled_file(make), str(db.url.database))
    else:
        make(db)
    return db


def opened(url: str, fill: Callable[[orm.Session], None] | None = None) -> Database:
    """Return the database at `url` with its schema, and with what `fill` writes; SQLite does not wait for the disk.

    Rows in SQLite are copies of those that `fill` wrote first in this process: their times are as old as that.
    """
    return prepare(Database(url, sqlite_synchronous="OFF"), create_tables if fill is None else _filling(fill))


@functools.cache
def _filling(fill: Callable[[orm.Session], None]) -> Callable[[Database], None]:
    def make(db: Database) -> None:
        create_tables(db)
        db.write(fill)
    return make


@functools.cache
def _filled_file(make: Callable[[Database], None]) -> Path:
    directory = tempfile.TemporaryDirectory(prefix="schema-")
    atexit.register(directory.cleanup)
    path = Path(directory.name) / "empty.db"
    db = Database(f"sqlite:///{path}", sqlite_synchronous="OFF")
    make(db)
    db.dispose()
    return path


def missing(kind: str) -> str | None:
    """Return what a kind of database lacks on this machine, or None."""
    if kind == "sqlite":
        return None
    return backends.missing() if kind == "postgresql" else mariadb.missing()


@contextlib.contextmanager
def running(kind: str, directory: Path) -> Iterator[str]:
    """Run a database server of its own below `directory` and yield the URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{directory / 'hostler.db'}"
        return
    server = backends.Postgres() if kind == "postgresql" else mariadb.MariaDB(directory)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
