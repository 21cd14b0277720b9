"""Which version a database's schema has, and refusing to run on one that this program does not expect.

Services import this and not `hostler.db.schema`: Alembic, with all that it loads, takes twelve MiB of each process.
"""

from __future__ import annotations

import re
from importlib import resources

import sqlalchemy as sa
from oslo_config import cfg

from hostler import errors
from hostler.db.engine import Database

_VERSIONS = sa.table("alembic_version", sa.column("version_num", sa.String))
_REVISION = re.compile(r'^(down_)?revision(?:: [^=]+)? = "(\w+)"$', re.MULTILINE)


def current(db: Database) -> str | None:
    """Return the revision of the database, None when it has no schema."""
    with db.translated(), db.engine.connect() as connection:
        if not sa.inspect(connection).has_table(_VERSIONS.name):
            return None
        return connection.scalar(sa.select(_VERSIONS.c.version_num))


def newest() -> str:
    """Return the newest revision this program knows: the one that no other builds on."""
    known, built_on = set[str](), set[str]()
    for file in resources.files("hostler.db.migrations.versions").iterdir():
        if file.name.endswith(".py"):
            for below, revision in _REVISION.findall(file.read_text()):
                (built_on if below else known).add(revision)
    [head] = known - built_on
    return head


def open_database(conf: cfg.ConfigOpts) -> Database:
    """Return the configured database; raises Unavailable unless it has the schema this program expects."""
    db = Database.from_conf(conf)
    check(db)
    return db


def check(db: Database) -> None:
    """Raise Unavailable unless the database has the schema this program expects."""
    found, wanted = current(db), newest()
    if found != wanted:
        raise errors.Unavailable(
            f"The database's schema is at {found or 'nothing'}, this program needs {wanted}: "
            "run 'hostler-manage db upgrade'.", part="database")
