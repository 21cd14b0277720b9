"""Every migration, one after another, over tables that hold rows: nothing is lost, and the models can read it all."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

import pytest
import sqlalchemy as sa
from alembic import script

from hostler.db import schema
from hostler.db.engine import Database
from hostler.db.models import Base, Operation, OperationNote, Volume, VolumeType
from tests.harness.filled_tables import MOMENT, count_rows, fill
from tests.harness.fixtures import database_url

__all__ = ["database_url"]

@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """An empty database, without tables."""
    made = Database(database_url)
    _drop_all(made)
    yield made
    _drop_all(made)
    made.dispose()


def _drop_all(db: Database) -> None:
    found = sa.MetaData()
    found.reflect(db.engine)
    found.drop_all(db.engine)


def _revisions() -> list[str]:
    scripts = script.ScriptDirectory(str(resources.files("hostler.db.migrations")))
    return [one.revision for one in reversed(list(scripts.walk_revisions()))]


def test_every_migration_keeps_what_is_there(db: Database) -> None:
    rows: dict[str, int] = {}
    for revision in _revisions():
        schema.upgrade(db, revision)
        fill(db)
        found = count_rows(db)
        assert {name: count for name, count in rows.items() if found.get(name, 0) < count} == {}, revision
        rows = found
    _check_models(db)
    _check_volumes(db)
    _check_operations(db)


def _check_models(db: Database) -> None:
    with db.reading() as session:
        for mapper in Base.registry.mappers:
            assert session.scalars(sa.select(mapper.class_)).all(), f"{mapper.class_.__name__} has no row"


def _check_volumes(db: Database) -> None:
    """A volume without a type has the default one, and the columns added later have their defaults."""
    with db.reading() as session:
        default = session.scalars(sa.select(VolumeType.id).where(VolumeType.name == "__DEFAULT__")).one()
        volume = session.scalars(sa.select(Volume)).one()
    assert (volume.volume_type_id, volume.readonly_set, volume.migration_status) == (default, False, None)
    assert volume.created_at == MOMENT


def _check_operations(db: Database) -> None:
    """What an operation kept among its arguments is where later releases look for it."""
    with db.reading() as session:
        operation = session.scalars(sa.select(Operation)).one()
        left = set(session.scalars(sa.select(OperationNote.key).where(OperationNote.name == "left_on")))
    assert operation.waits_for_lock
    assert left == {"b1", "b2"}
