"""The schema's version: bringing a database up to date, and refusing to run on one that is not."""

from __future__ import annotations

from alembic import command, config, script
from alembic.runtime import migration
from oslo_config import cfg

from hostler import errors
from hostler.db.engine import Database


def _config(db: Database) -> config.Config:
    settings = config.Config()
    settings.set_main_option("script_location", "hostler.db:migrations")
    settings.attributes["engine"] = db.engine
    return settings


def upgrade(db: Database, revision: str = "head") -> None:
    """Bring the schema to `revision`; may be repeated."""
    command.upgrade(_config(db), revision)


def current(db: Database) -> str | None:
    """Return the revision of the database, None when it has no schema."""
    with db.translated(), db.engine.connect() as connection:
        return migration.MigrationContext.configure(connection).get_current_revision()


def newest(db: Database) -> str | None:
    """Return the newest revision this program knows."""
    return script.ScriptDirectory.from_config(_config(db)).get_current_head()


def open_database(conf: cfg.ConfigOpts) -> Database:
    """Return the configured database; raises Unavailable unless it has the schema this program expects."""
    db = Database.from_conf(conf)
    check(db)
    return db


def check(db: Database) -> None:
    """Raise Unavailable unless the database has the schema this program expects."""
    found, wanted = current(db), newest(db)
    if found != wanted:
        raise errors.Unavailable(
            f"The database's schema is at {found or 'nothing'}, this program needs {wanted}: "
            "run 'hostler-manage db upgrade'.", part="database")
