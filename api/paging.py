"""Pages of lists: `limit`, `marker`, sorting; the same rules in every face."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import falcon
import sqlalchemy as sa

from hostler import errors


@dataclasses.dataclass(frozen=True)
class Page:
    """What the caller asked to see: at most `limit` items after `marker`, sorted by `sort` [(key, descending)]."""

    limit: int
    marker: str | None
    sort: tuple[tuple[str, bool], ...]


def limit_of(request: falcon.Request, maximum: int) -> int:
    """Return the page size asked for, capped at `maximum`; raises InvalidField for what is no whole number ≥ 0."""
    text = request.get_param("limit")
    if text is None or text == "":
        return maximum
    try:
        limit = int(text)
    except ValueError:
        raise errors.InvalidField(field="limit", value=text, reason="It must be an integer.") from None
    if limit < 0:
        raise errors.InvalidField(field="limit", value=text, reason="It must not be negative.")
    return min(limit, maximum)


def after_marker(columns: Sequence[tuple[Any, bool]], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Return the condition of rows that come after the row with `values` in the order of `columns` [(column, desc)].

    A null sorts before everything, in both spellings of the condition and of `order_by`.
    """
    alternatives = []
    for index, (column, descending) in enumerate(columns):
        equal = [_same(other, value) for (other, _), value in zip(columns[:index], values[:index], strict=True)]
        alternatives.append(sa.and_(*equal, _beyond(column, values[index], descending)))
    return sa.or_(*alternatives)


def _same(column: Any, value: Any) -> Any:
    return column.is_(None) if value is None else column == value


def _beyond(column: Any, value: Any, descending: bool) -> Any:
    if value is None:
        return sa.false() if descending else column.is_not(None)
    if descending:
        return sa.or_(column < value, column.is_(None)) if getattr(column, "nullable", True) else column < value
    return column > value


def order_by(columns: Sequence[tuple[Any, bool]]) -> list[Any]:
    """Return the ORDER BY terms; nulls count as smallest on every database."""
    terms: list[Any] = []
    for column, descending in columns:
        if getattr(column, "nullable", False):
            is_null = sa.case((column.is_(None), 0), else_=1)
            terms.append(is_null.desc() if descending else is_null)
        terms.append(column.desc() if descending else column.asc())
    return terms


def flag(column: Any) -> sa.ColumnElement[int]:
    """Return a boolean column as 0 or 1, since databases and SQLAlchemy do not compare booleans by size."""
    return sa.case((column, 1), else_=0)


def next_link(request: falcon.Request, base_url: str, marker: str) -> str:
    """Return the URL of the page after `marker`, with every other parameter kept."""
    query: Mapping[str, Any] = {**request.params, "marker": marker}
    return f"{base_url}?{falcon.to_query_str(dict(query), prefix=False, comma_delimited_lists=False)}"
