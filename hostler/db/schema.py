"""Bringing a database's schema up to date."""

from __future__ import annotations

from alembic import command, config

from hostler.db.engine import Database


def upgrade(db: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`; may be repeated."""
    settings = config.Config()
    settings.set_main_option("script_location", "hostler.db:migrations")
    settings.attributes["engine"] = db.engine
    command.upgrade(settings, revision)
