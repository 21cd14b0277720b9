"""The migrations make what the models say."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.runtime import migration

from hostler import errors
from hostler.db import schema, version
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
        version.check(db)
    schema.upgrade(db)
    version.check(db)


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


_INSERT = sa.text(
    "INSERT INTO operations (id, kind, resource_type, resource_id, request_id, state, arguments, attempt, crashes, "
    "not_before, cancel_requested, progress, created_at, updated_at) VALUES (:id, 'k', :type, :id, 'r', :state, "
    ":arguments, 0, 0, '2026-01-01', '0', 0, '2026-01-01', '2026-01-01')")


def test_what_operations_kept_among_their_arguments_moves_out_of_them(db: Database) -> None:
    schema.upgrade(db, "0005")
    with db.engine.begin() as connection:
        for identity, kind, state, arguments in (
                ("moved", "volume", "succeeded", {"left_on": ["b1", "b2"]}),
                ("waits", "server", "pending", {"server_id": "s", "wait_for_lock": True}),
                ("other", "server", "pending", {})):
            connection.execute(_INSERT, {"id": identity, "type": kind, "state": state,
                                         "arguments": json.dumps(arguments)})
    schema.upgrade(db)
    with db.engine.connect() as connection:
        notes = connection.execute(sa.text("SELECT operation_id, name, key, resource_id FROM operation_notes"))
        assert sorted(map(tuple, notes)) == [("moved", "left_on", "b1", "moved"), ("moved", "left_on", "b2", "moved")]
        waiting = connection.execute(sa.text(
            "SELECT id FROM operations WHERE waits_for_lock AND arguments_version = 1"))
        assert [row.id for row in waiting] == ["waits"]


def _insert(connection: sa.Connection, name: str, **values: object) -> None:
    """Write a row of a table as it is now; what it needs beyond `values` is made up."""
    table = sa.Table(name, sa.MetaData(), autoload_with=connection)
    made_up = {sa.Integer: 0, sa.Boolean: False, sa.JSON: [], sa.DateTime: dt.datetime(2026, 1, 1)}
    needed = {column.name: next((value for kind, value in made_up.items() if isinstance(column.type, kind)), "x")
              for column in table.c if not column.nullable and column.server_default is None}
    connection.execute(table.insert().values({**needed, **values}))


def test_networks_that_were_shared_have_a_policy_for_everybody(db: Database) -> None:
    schema.upgrade(db, "0023")
    with db.engine.begin() as connection:
        _insert(connection, "domains", id="d")
        _insert(connection, "projects", id="p", domain_id="d")
        _insert(connection, "networks", id="all", project_id="p", shared=True)
        _insert(connection, "networks", id="own", project_id="p", shared=False)
    schema.upgrade(db)
    with db.engine.connect() as connection:
        policies = connection.execute(sa.text("SELECT project_id, object_id, action, target FROM rbac_policies"))
        assert list(map(tuple, policies)) == [("p", "all", "access_as_shared", "*")]
