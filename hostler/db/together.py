"""Several statements that change different tables: in one round trip where the database can.

PostgreSQL takes them as parts of one statement. All parts see what was there before the first, and its foreign keys are
checked at the end: so none may read, or change, what another one changes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

Statement = sa.UpdateBase  # built once, with all its values


def execute_together(session: orm.Session, statements: tuple[Statement, ...], values: Mapping[str, Any]) -> None:
    """Execute statements, in their order where they go one by one; parameters of one name have one value."""
    session.flush()
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(_as_one(statements), values)
        return
    for statement in statements:
        connection.execute(statement, {name: values[name] for name in _parameters(statement)})


@functools.cache
def _as_one(statements: tuple[Statement, ...]) -> sa.Select[Any]:
    return sa.select(sa.literal(1)).add_cte(*(
        statement.cte(f"part_{number}") for number, statement in enumerate(statements)))


@functools.cache
def _parameters(statement: Statement) -> frozenset[str]:
    return frozenset(str(parameter.key) for parameter in sa.sql.visitors.iterate(statement)
                     if isinstance(parameter, sa.BindParameter) and parameter.required)
