"""The database, as something to wait for; apart from `hostler.cmd.waiting` so that no agent loads a database layer."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from oslo_config import cfg

from hostler import errors
from hostler.cmd.waiting import Need
from hostler.db.engine import Database


def _database_trouble(conf: cfg.ConfigOpts) -> str | None:
    database = Database.from_conf(conf)
    try:
        with database.reading() as session:
            session.scalar(sa.select(1))
    except errors.DatabaseUnavailable as error:
        return f"{error.__cause__ or error}".partition("\n")[0]
    finally:
        database.dispose()
    return None


DATABASE: Final = Need("the database", _database_trouble)
