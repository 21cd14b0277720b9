"""Runs migrations on the engine that `hostler.db.schema` hands over."""

from __future__ import annotations

from alembic import context

from hostler.db.models import Base


def run() -> None:
    """Run the wanted migrations, each database change in one transaction where the database can."""
    engine = context.config.attributes["engine"]
    with engine.begin() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True,
                          compare_type=True)
        with context.begin_transaction():
            context.run_migrations()


run()
