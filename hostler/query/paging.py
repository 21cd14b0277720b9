"""Pages: filtered, sorted by several keys, after a marker or an offset, in either direction, with a count.

A page costs one statement, one more for a marker and one more for the count, however many rows there are.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.query import fields as query_fields
from hostler.query.compiler import Allows, condition_of, everything_allowed
from hostler.query.expressions import EVERYTHING, Expression
from hostler.query.fields import UNMATCHABLE, Condition
from hostler.query.resources import Resource

Columns = Sequence[tuple[Any, bool]]


def unknown_marker(marker: str) -> errors.HostlerError:
    """Return the error for a marker that names no row the caller sees."""
    return errors.Invalid(reason=f"marker [{marker[:80]}] not found")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Query:
    """What a list asks for. `project_id` None lists all projects', `limit` None all rows;
    `sort` is [(field, descending)].

    `reverse` reads the page before the marker; its rows come in the order asked for all the same.
    """

    where: Expression = EVERYTHING
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    marker: str | None = None
    offset: int = 0
    reverse: bool = False
    project_id: str | None = None
    with_count: bool = False
    missing: Callable[[str], errors.HostlerError] = unknown_marker


@dataclasses.dataclass(frozen=True)
class Page:
    """One page, whether it is as long as it may be, and how many rows there are (None: not asked for).

    Another page may follow a full one: it is asked for and found empty when none does, which is what every published
    API does, and one row less to read.
    """

    rows: Sequence[Any]
    full: bool
    count: int | None = None


def read_page(session: orm.Session, resource: Resource, query: Query, scope: Sequence[Condition] = (), *,
              selection: sa.Select[Any] | None = None, seen: Sequence[Condition] | None = None,
              allows: Allows = everything_allowed) -> Page:
    """Return the rows of `selection` (without one: the model's objects) within `scope` that match.

    A marker may be any row within `seen` (without one: `scope`). Raises InvalidField for an unknown field, and what
    `query.missing` says for an unknown marker.
    """
    base = sa.select(resource.model).select_from(resource.source) if selection is None else selection
    matching = base.where(*scope, condition_of(resource, query.where, allows))
    columns = _columns(resource, query)
    statement = matching
    if query.marker is not None:
        values = _marker_values(session, resource, query, scope if seen is None else seen, columns)
        statement = statement.where(after(columns, values))
    statement = statement.order_by(*order_by(columns)).limit(query.limit).offset(query.offset or None)
    rows = session.scalars(statement).all() if selection is None else _named(session.execute(statement))
    count = None
    if query.with_count:
        inner = matching.with_only_columns(resource.key).order_by(None).subquery()
        count = session.scalar(sa.select(sa.func.count()).select_from(inner))
    full = query.limit is not None and 0 < query.limit <= len(rows)
    return Page(rows[::-1] if query.reverse else rows, full, count)


def _named(result: sa.Result[Any]) -> Sequence[Any]:
    """Return rows as named tuples: to read an attribute of SQLAlchemy's rows takes ten times as long."""
    rows, names = result.all(), tuple(result.keys())
    if rows and len(rows[0]) != len(names):  # aliased entities have no name
        return rows
    return list(map(_row_type(names)._make, rows))


@functools.cache
def _row_type(names: tuple[str, ...]) -> Any:
    return collections.namedtuple("Row", names, rename=True)  # type: ignore[misc]


def _columns(resource: Resource, query: Query) -> list[tuple[Any, bool]]:
    """Return what to sort by, which ends with the key so that no two rows are equal."""
    columns = []
    for name, descending in query.sort:
        field = resource.fields.get(name)
        if field is None or field.column is None or field.kind is query_fields.DOCUMENT:
            raise errors.InvalidField(f"'{name[:80]}' is an invalid attribute for sort key.", field="sort_key",
                                      value=name[:80], reason="It is not a key to sort by.")
        columns.append((field.order, descending != query.reverse))
    if not any(column is resource.key for column, _ in columns):
        columns.append((resource.key, columns[-1][1] if columns else query.reverse))
    return columns


def _marker_values(session: orm.Session, resource: Resource, query: Query, seen: Sequence[Condition],
                   columns: Columns) -> tuple[Any, ...]:
    marker = query.marker or ""
    kind = query_fields.kind_of(resource.key)
    try:
        known = kind.read("marker", marker)
    except errors.InvalidField:
        known = UNMATCHABLE
    if known is UNMATCHABLE or not kind.holds(known):
        raise query.missing(marker)
    # A request may have made several operations: the key of a list need not be its rows' own.
    found = session.execute(sa.select(*(column for column, _ in columns)).select_from(resource.source)
                            .where(resource.key == known, *seen).limit(1)).one_or_none()
    if found is None:
        raise query.missing(marker)
    return tuple(found)


def after(columns: Columns, values: Sequence[Any]) -> Condition:
    """Return the condition of rows that come after the row with `values` in the order of `columns` [(column, desc)].

    A null sorts before everything, here and in `order_by`.
    """
    alternatives: list[Any] = []
    for index, (column, descending) in enumerate(columns):
        equal = [other.is_(None) if value is None else other == value
                 for (other, _), value in zip(columns[:index], values[:index], strict=True)]
        alternatives.append(sa.and_(*equal, _beyond(column, values[index], descending)))
    first, descending = columns[0]
    nullable = getattr(first, "nullable", True)
    if values[0] is None or (descending and nullable):
        return sa.or_(*alternatives)
    # Says to the planner that everything before the marker may be skipped in the index.
    return sa.and_(first <= values[0] if descending else first >= values[0], sa.or_(*alternatives))


def _beyond(column: Any, value: Any, descending: bool) -> Any:
    if value is None:
        return sa.false() if descending else column.is_not(None)
    if descending:
        return sa.or_(column < value, column.is_(None)) if getattr(column, "nullable", True) else column < value
    return column > value


def order_by(columns: Columns) -> list[Any]:
    """Return the ORDER BY terms; nulls count as smallest on every database."""
    terms: list[Any] = []
    for column, descending in columns:
        if getattr(column, "nullable", False):
            is_null = sa.case((column.is_(None), 0), else_=1)
            terms.append(is_null.desc() if descending else is_null)
        terms.append(column.desc() if descending else column.asc())
    return terms
