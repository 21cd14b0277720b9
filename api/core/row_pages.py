"""Pages of rows of one kind: scope, filters, order, marker or offset, and the whole number when it is asked for.

A page costs one statement, one more for a marker and one more for the count, however many rows there are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api import paging
from hostler import errors, ids


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowQuery:
    """What a list asks for. `project_id` None lists all projects'; `filters` mean what the list's module says."""

    page: paging.Page
    project_id: str | None
    filters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    offset: int = 0
    with_count: bool = False


@dataclasses.dataclass(frozen=True)
class RowPage:
    """One page, whether another follows, and how many rows there are (None: not asked for)."""

    rows: Sequence[Any]
    more: bool
    count: int | None = None


@dataclasses.dataclass(frozen=True)
class RowSource:
    """Where a list reads: `selection` (which carries the columns and joins), `identity` (the marker's column), the
    conditions that say what the caller may see at all, and the columns by the names that sort keys use."""

    selection: sa.Select[Any]
    identity: Any
    scope: Sequence[Any]
    sortable: Mapping[str, Any]


def read_page(session: orm.Session, source: RowSource, query: RowQuery, conditions: Sequence[Any]) -> RowPage:
    """Return one page; raises NotFound for a marker that is not there."""
    page = query.page
    columns = [(source.sortable[key], descending) for key, descending in page.sort]
    matching = source.selection.where(*source.scope, *conditions)
    statement = matching
    if page.marker is not None:
        seen = source.selection.where(*source.scope, source.identity == (ids.canonical(page.marker) or ""))
        values = session.execute(seen.with_only_columns(*(column for column, _ in columns))).one_or_none()
        if values is None:
            raise errors.NotFound(f"Marker {page.marker[:80]} could not be found.", resource="marker", id=page.marker)
        statement = statement.where(paging.after_marker(columns, tuple(values)))
    statement = statement.order_by(*paging.order_by(columns)).limit(page.limit + 1).offset(query.offset or None)
    found = session.execute(statement).all()
    count = None
    if query.with_count:
        inner = matching.with_only_columns(source.identity).order_by(None).subquery()
        count = session.scalar(sa.select(sa.func.count()).select_from(inner))
    shown = found[:page.limit]
    return RowPage(shown, len(found) > len(shown), count)
