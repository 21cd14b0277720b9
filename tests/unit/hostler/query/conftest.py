"""A small cloud in an empty database: two servers with volumes and ports on two hosts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.core.server.fields import SERVER
from hostler.db.engine import Database
from hostler.query.compiler import condition_of
from hostler.query.expressions import Expression
from hostler.query.resources import resource_of
from tests.harness import databases, small_cloud
from tests.harness.small_cloud import Find


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The database with the cloud's rows."""
    found = databases.opened(f"sqlite:///{Path(tmp_path_factory.mktemp('query')) / 'cloud.db'}")
    found.write(small_cloud.fill)
    yield found
    found.dispose()


@pytest.fixture
def find(database: Database) -> Find:
    """Return the names of the rows that an expression finds, sorted."""

    def names(expression: Expression, table: Any = SERVER.table, allows: Any = lambda _action: True) -> list[str]:
        resource = resource_of(table)
        condition = condition_of(resource, expression, allows)
        with database.reading() as session:
            return list(session.scalars(sa.select(resource.table.c.name).select_from(resource.source)
                                        .where(condition).order_by(resource.table.c.name)))

    return names
