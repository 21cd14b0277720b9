"""Several statements that change different tables: in one round trip where the database can.

PostgreSQL takes them as parts of one statement. All parts see what was there before the first, and its foreign keys are
checked at the end: so none may change, or count on seeing, what another one changes. No parameter may have the name of
a column, which an UPDATE or INSERT among the parts would set.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql

from hostler.db.compiled import execute_compiled

Statement = sa.UpdateBase  # built once, with all its values
Rows = Mapping[sa.Table, Sequence[Mapping[str, Any]]]  # to insert; those of one table have the same columns


def execute_together(session: orm.Session, statements: tuple[Statement, ...], values: Mapping[str, Any],
                     rows: Rows | None = None) -> None:
    """Execute statements, in their order where they go one by one; parameters of one name have one value.

    Then `rows` are inserted, in their order.
    """
    session.flush()
    connection = session.connection()
    given = {table: list(some) for table, some in (rows or {}).items() if some}
    if connection.dialect.name == "postgresql":
        arrays = {f"{table.name}_{name}": [row[name] for row in some]
                  for table, some in given.items() for name in some[0]}
        together = (*statements, *(_inserted(table, tuple(some[0])) for table, some in given.items()))
        if together:
            execute_compiled(connection, _as_one(together), {**values, **arrays})
        return
    for statement in statements:
        connection.execute(statement, {name: values[name] for name in _parameters(statement)})
    for table, some in given.items():
        connection.execute(_insert(table), some)


@functools.cache
def _insert(table: sa.Table) -> sa.Insert:
    return sa.insert(table)


@functools.cache
def _inserted(table: sa.Table, names: tuple[str, ...]) -> sa.Insert:
    """Return the INSERT of any number of rows, whose columns are arrays."""
    arrays = sa.func.unnest(*(
        sa.bindparam(f"{table.name}_{name}", type_=postgresql.ARRAY(table.c[name].type)) for name in names)
        ).table_valued(*(sa.column(name, table.c[name].type) for name in names), name=f"new_{table.name}")
    return _insert(table).from_select(names, sa.select(*arrays.render_derived().c), include_defaults=False)


@functools.cache
def _as_one(statements: tuple[Statement, ...]) -> sa.Select[Any]:
    return sa.select(sa.literal(1)).add_cte(*(
        statement.cte(f"part_{number}") for number, statement in enumerate(statements)))


@functools.cache
def _parameters(statement: Statement) -> frozenset[str]:
    return frozenset(str(parameter.key) for parameter in sa.sql.visitors.iterate(statement)
                     if isinstance(parameter, sa.BindParameter) and parameter.required)
