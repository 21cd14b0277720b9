"""The migrations make what the models say."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import autogenerate
from alembic.runtime import migration

from hostler import errors
from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Base


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'test.db'}")


def test_migrations_make_the_models(db: Database) -> None:
    schema.upgrade(db)
    schema.upgrade(db)
    with db.engine.connect() as connection:
        context = migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert autogenerate.compare_metadata(context, Base.metadata) == []


def test_a_service_refuses_a_database_without_the_schema(db: Database) -> None:
    with pytest.raises(errors.Unavailable, match="hostler-manage db upgrade"):
        schema.check(db)
    schema.upgrade(db)
    schema.check(db)


def test_every_relation_says_its_kind_and_delete_rule() -> None:
    for table in Base.metadata.tables.values():
        if table.name in ("aggregate_hosts", "allocations", "operation_steps", "locks"):
            continue  # held by their owner's own code, never part of a user's query
        for column in table.columns:
            if column.foreign_keys:
                assert column.info.get("relation") in ("parent", "friend"), column
                assert column.info.get("on_delete") in ("cascade", "restrict", "clear"), column


def test_the_embedded_database_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "test.db"
    schema.upgrade(Database(f"sqlite:///{path}"))
    assert path.stat().st_mode & 0o077 == 0
