"""Runs migrations on the engine that `hostler.db.schema` hands over."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import context

from hostler import errors
from hostler.db.models import Base


def run() -> None:
    """Run the wanted migrations, each database change in one transaction where the database can."""
    engine = context.config.attributes["engine"]
    with engine.connect() as connection, _loose_references(connection), connection.begin():
        context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True,
                          compare_type=True)
        with context.begin_transaction():
            context.run_migrations()
        if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise errors.Internal("A migration would leave rows that refer to nothing.")


@contextlib.contextmanager
def _loose_references(connection: sa.Connection) -> Iterator[None]:
    """Let SQLite replace tables that others refer to, which is how most of its columns are added."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("PRAGMA foreign_keys=OFF")  # has no effect within a transaction
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys=ON")


run()
