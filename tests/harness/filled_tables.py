"""Rows for every table of a schema of any revision, found by reflection."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from hostler import ids
from hostler.db.engine import Database
from hostler.db.models import Base

MOMENT = dt.datetime(2024, 2, 29, 12, 30, 15)
# What the content of a column must be for a migration to have something to do.
_VALUES: dict[tuple[str, str], Any] = {
    ("operations", "resource_type"): "volume", ("operations", "state"): "pending",
    ("operations", "arguments"): {"left_on": ["b1", "b2"], "wait_for_lock": True, "cascade": False},
    ("volumes", "volume_type_id"): None, ("volumes", "deleted_at"): None,
}


def fill(db: Database) -> None:
    """Give each table that has no row one, whose every column has a value."""
    tables = sa.MetaData()
    tables.reflect(db.engine)
    for table in tables.sorted_tables:
        for column in table.columns:
            known = Base.metadata.tables.get(table.name, table).columns.get(column.name)
            if known is not None and isinstance(known.type, sa.JSON):
                column.type = known.type  # MariaDB has no such type
    with db.engine.begin() as connection:
        for table in tables.sorted_tables:
            if not connection.scalar(sa.select(sa.func.count()).select_from(table)):
                connection.execute(sa.insert(table), {
                    column.name: _value(connection, table, column) for column in table.columns})


def _value(connection: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> Any:
    if (table.name, column.name) in _VALUES:
        return _VALUES[table.name, column.name]
    for key in column.foreign_keys:
        return connection.scalar(sa.select(key.column).limit(1)) if key.column.table is not table else None
    return _of_type(column)


def _of_type(column: sa.Column[Any]) -> Any:
    """Return a value that fits the column's type."""
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {}
    if isinstance(kind, sa.DateTime):
        return MOMENT
    if isinstance(kind, sa.Boolean):
        return True
    if isinstance(kind, sa.Integer | sa.Float | sa.Numeric):
        return 1
    if isinstance(kind, sa.LargeBinary):
        return b"\x00\xff"
    length = getattr(kind, "length", None) or 255
    return ids.new_id() if length >= 36 else "ü" * min(length, 3)


def count_rows(db: Database) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = sa.MetaData()
    tables.reflect(db.engine)
    with db.engine.connect() as connection:
        return {table.name: connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in tables.sorted_tables}
