"""An empty database of each kind the product supports, for tests that must hold on all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.harness import backends, mariadb

KINDS = ("sqlite", "postgresql", "mariadb")


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
