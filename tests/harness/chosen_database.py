"""Where a test keeps its database: in an SQLite file, or on a server when HOSTLER_TEST_DATABASE names its kind.

`tox -e regressions-mariadb` sets it, and so plays the regressions on MariaDB.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.harness import databases

KIND = os.environ.get("HOSTLER_TEST_DATABASE", "sqlite")


@functools.cache
def url_of(path: Path) -> str:
    """Return the URL of the database that is at `path`, or has that path's place on a server; at first it is empty."""
    if KIND == "sqlite":
        return f"sqlite:///{path}"
    if reason := databases.missing(KIND):
        pytest.skip(reason)
    server = _server()
    name = f"t{hashlib.sha256(str(path).encode()).hexdigest()[:20]}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.set(database=name).render_as_string(hide_password=False)


@functools.cache
def _server() -> sa.URL:
    """Start the server that all tests of this process share."""
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"hostler-{KIND}-"))
    return sa.make_url(stack.enter_context(databases.running(KIND, Path(directory) / "server")))
