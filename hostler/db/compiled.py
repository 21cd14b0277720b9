"""Statements that are built and compiled once.

SQLAlchemy keeps what it has compiled by a key of the statement's parts. INSERT … ON CONFLICT has no such key, nor has a
statement with such a part, and is compiled at each execution, which takes longer than all the rest of it. Of others,
the ORM's look at the statement and the search by its key take three times as long as what is left without them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.reading import ReadSession

_KEPT: Final = "hostler_compiled"


def execute_compiled(connection: sa.Connection, statement: Any, values: Mapping[str, Any] | Sequence[Mapping[str, Any]],
                     columns: Collection[str] | None = None) -> sa.CursorResult[Any]:
    """Execute a statement that is built once and kept; an INSERT of rows names the `columns` that they have."""
    # With the dialect, whose parts it refers to: both go together.
    kept: dict[Any, Any] = vars(connection.dialect).setdefault(_KEPT, {})
    compiled = kept.get(statement)
    if compiled is None:
        compiled = kept[statement] = statement.compile(
            dialect=connection.dialect, column_keys=columns, for_executemany=not isinstance(values, Mapping))
    return connection.execute(compiled, values)


def execute_built(session: orm.Session, statement: Any, values: Mapping[str, Any]) -> sa.CursorResult[Any]:
    """As `session.execute`, for a statement that is built once and kept, and returns columns, no entities."""
    def run() -> sa.CursorResult[Any]:
        return execute_compiled(session.connection(), statement, values)

    if isinstance(session, ReadSession):
        return session.live(run)
    session.flush()
    return run()
