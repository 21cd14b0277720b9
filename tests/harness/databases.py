"""Empty databases: quickly made ones in SQLite, and one of each kind the product supports for tests that must hold on
all of them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.engine import Database
from hostler.db.models import Base
from tests.harness import backends, mariadb

KINDS = ("sqlite", "postgresql", "mariadb")
FIRST = "hostler"  # the database that a server has from the beginning
_shared: set[sa.URL] = set()


def create_tables(db: Database) -> None:
    """Create every table, without the migrations' history."""
    Base.metadata.create_all(db.engine)


def prepare(db: Database, make: Callable[[Database], None] = create_tables) -> Database:
    """Give a database its schema; returns it.

    An empty SQLite file, or database of a shared server, becomes a copy of one that `make` filled once: sixty tables
    are most of a small test's time.
    """
    if db.is_sqlite and not Path(str(db.url.database)).stat().st_size:
        shutil.copyfile(_filled_file(make), str(db.url.database))
    elif (server := db.url.set(database=FIRST)) in _shared and not sa.inspect(db.engine).get_table_names():
        db.engine.dispose()  # PostgreSQL replaces a database only when nobody is connected to it
        _copy(_filled_database(server, make), db.url)
    else:
        make(db)
    return db


def share(server: sa.URL) -> None:
    """Let `prepare` copy databases on this server, which holds those of many tests."""
    _shared.add(server)


def create_database(server: sa.URL, name: str) -> sa.URL:
    """Create an empty database; returns its URL."""
    with administering(server) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.set(database=name)


@contextlib.contextmanager
def administering(server: sa.URL) -> Iterator[sa.Connection]:
    """Yield a connection whose statements are no transactions."""
    with sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as connection:
        yield connection


def opened(url: str, fill: Callable[[orm.Session], None] | None = None) -> Database:
    """Return the database at `url` with its schema, and with what `fill` writes; SQLite does not wait for the disk.

    Rows may be copies of those that `fill` wrote first in this process: their times are as old as that.
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


@functools.cache
def _filled_database(server: sa.URL, make: Callable[[Database], None]) -> sa.URL:
    url = create_database(server, f"filled_{uuid.uuid4().hex}")
    db = Database(url.render_as_string(hide_password=False))
    make(db)
    db.dispose()
    return url


def _copy(source: sa.URL, target: sa.URL) -> None:
    """Make `target`, which is empty, a copy of another database of its server."""
    with administering(source.set(database=FIRST)) as connection:
        if source.get_backend_name() == "postgresql":
            connection.exec_driver_sql(f"DROP DATABASE {target.database}")
            connection.exec_driver_sql(f"CREATE DATABASE {target.database} TEMPLATE {source.database}")
            return
        # A table that is made by one statement takes a fifth of the time of one that gets its indexes one by one.
        connection.exec_driver_sql(f"USE {target.database}")
        connection.exec_driver_sql("SET foreign_key_checks = 0")
        for table, statement, has_rows in _tables(source):
            connection.exec_driver_sql(statement)
            if has_rows:
                connection.exec_driver_sql(f"INSERT INTO `{table}` SELECT * FROM {source.database}.`{table}`")


@functools.cache
def _tables(source: sa.URL) -> list[tuple[str, str, bool]]:
    """Return name and defining statement of each table of a database in MariaDB, and whether it has rows."""
    with administering(source) as connection:
        names = [str(name) for name in connection.exec_driver_sql("SHOW TABLES").scalars()]
        return [(name, connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").one()[1].replace("%", "%%"),
                 connection.exec_driver_sql(f"SELECT 1 FROM `{name}` LIMIT 1").first() is not None) for name in names]


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
