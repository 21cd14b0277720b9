"""Lists of ids, whole pages of them, on each kind of database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from hostler.db.engine import Database
from hostler.db.membership import among
from hostler.db.models import Zone
from tests.harness import databases
from tests.harness.fixtures import database_url

__all__ = ["database_url"]

_NAMES = sa.select(Zone.name).where(among(Zone.id)).order_by(Zone.name)


@pytest.fixture(scope="module")
def db(database_url: str) -> Database:
    return databases.opened(database_url, lambda session: session.add_all(
        [Zone(id=str(number), name=f"zone-{number:04}") for number in range(1500)]))


@pytest.mark.parametrize("ids", [[], ["7"], ["7", "9", "none"], [str(number) for number in range(1000)]])
def test_rows_among_the_ids_are_found(db: Database, ids: list[str]) -> None:
    with db.reading() as session:
        found = session.scalars(_NAMES, {"ids": ids}).all()
    assert found == sorted(f"zone-{int(number):04}" for number in ids if number.isdigit())


def test_postgresql_gets_one_parameter() -> None:
    text = str(_NAMES.compile(dialect=postgresql.psycopg.dialect()))
    assert "zones.id IN (SELECT unnest(string_to_array((SELECT %(ids)s::VARCHAR" in text


def test_postgresql_does_not_plan_at_each_execution(db: Database) -> None:
    if db.engine.dialect.name != "postgresql":
        pytest.skip("it is PostgreSQL that plans again for the values at hand")
    db.write(lambda session: session.execute(sa.text("ANALYZE zones")))
    with db.reading() as session:
        for _ in range(12):
            session.scalars(_NAMES, {"ids": ["7"]}).all()
        planned = session.scalar(sa.text(
            "SELECT max(custom_plans) FROM pg_prepared_statements WHERE statement LIKE '%string_to_array%'"))
    assert planned == 5, "it plans for the values of the first five executions alone"
