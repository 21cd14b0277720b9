"""Lists of the Network API: filters of every attribute, sorting, markers in both directions; one statement a page.

>>> FILTERS = {"name": text(Network.name), "shared": boolean(Network.shared), **standard_filters(Network)}
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from api import paging
from hostler import clock, errors, ids

Condition = sa.ColumnElement[bool]
Filter = Callable[[Sequence[str]], Condition]
Row = TypeVar("Row")

# Longer numbers are in no column, and not every database takes them.
_DIGITS = 10
_TRUE = frozenset({"true", "1", "t", "yes", "on", "y"})
_FALSE = frozenset({"false", "0", "f", "no", "off", "n"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListQuery:
    """What a list asks for; values of `filters` are alternatives. `limit` None is the largest page there is."""

    filters: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    marker: str | None = None
    reverse: bool = False


@dataclasses.dataclass(frozen=True)
class ListPage(Generic[Row]):
    """One page, in the order asked for; `more` says whether rows follow in the direction of travel."""

    items: Sequence[Row]
    more: bool


def select_page(session: orm.Session, model: type[Any], scope: Condition, query: ListQuery, *,
                filters: Mapping[str, Filter], sortable: Mapping[str, Any], max_limit: int) -> ListPage[Any]:
    """Return a page of `model`'s rows within `scope`.

    Raises InvalidField for an unknown filter, sort key or marker.
    """
    statement = sa.select(model).where(scope, *(_condition(filters, name, values)
                                                for name, values in query.filters.items()))
    columns = _columns(model, query, sortable)
    if query.marker is not None:
        statement = statement.where(_after(session, model, scope, query.marker, columns))
    limit = max_limit if query.limit is None else min(query.limit, max_limit)
    rows = list(session.scalars(statement.order_by(*paging.order_by(columns)).limit(limit + 1)))
    items = rows[:limit]
    return ListPage(items[::-1] if query.reverse else items, len(rows) > limit)


def _condition(filters: Mapping[str, Filter], name: str, values: Sequence[str]) -> Condition:
    if name not in filters:
        raise errors.InvalidField(f"Invalid input for operation: '{name}' is not a valid attribute for filtering.",
                                  field=name, value="", reason="unknown filter")
    return filters[name](values)


def _columns(model: type[Any], query: ListQuery, sortable: Mapping[str, Any]) -> list[tuple[Any, bool]]:
    columns: list[tuple[Any, bool]] = []
    for key, descending in query.sort:
        if key not in sortable:
            raise errors.InvalidField(f"'{key}' is an invalid attribute for sort key.", field="sort_key", value=key,
                                      reason="not sortable")
        columns.append((sortable[key], descending != query.reverse))
    columns.append((model.id, query.reverse))
    return columns


def _after(session: orm.Session, model: type[Any], scope: Condition, marker: str,
           columns: Sequence[tuple[Any, bool]]) -> Condition:
    values = session.execute(sa.select(*(column for column, _ in columns))
                             .where(model.id == (ids.canonical(marker) or marker), scope)).one_or_none()
    if values is None:
        raise errors.InvalidField(field="marker", value=marker, reason="There is no such resource.")
    return paging.after_marker(columns, tuple(values))


def text(column: Any) -> Filter:
    """Filter a text column; an empty value also means none."""
    def condition(values: Sequence[str]) -> Condition:
        found: Condition = column.in_(values)
        return sa.or_(found, column.is_(None)) if "" in values else found
    return condition


def identifier(column: Any) -> Filter:
    """Filter a column of ids, given in either spelling; what is no id is compared as text."""
    return lambda values: column.in_([ids.canonical(value) or value for value in values])


def boolean(column: Any) -> Filter:
    """Filter a truth value; raises InvalidField for what is none."""
    def condition(values: Sequence[str]) -> Condition:
        wanted = {_truth(column.key, value) for value in values}
        return sa.or_(*(column.is_(value) for value in wanted))
    return condition


def _truth(name: str, value: str) -> bool:
    lowered = value.lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    raise errors.InvalidField(field=name, value=value, reason=f"'{value}' cannot be converted to boolean.")


def whole_number(column: Any) -> Filter:
    """Filter a column of whole numbers; raises InvalidField for what is none."""
    def condition(values: Sequence[str]) -> Condition:
        try:
            numbers = [int(value) for value in values if len(value) <= _DIGITS]
        except ValueError:
            raise errors.InvalidField(field=column.key, value=values[0], reason="It is not an integer.") from None
        found: Condition = column.in_(numbers)
        return found
    return condition


def address(column: Any) -> Filter:
    """Filter a column of addresses or blocks, whatever their spelling."""
    return lambda values: column.in_([_canonical_address(value) for value in values])


def _canonical_address(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False)) if "/" in value else str(ipaddress.ip_address(value))
    except ValueError:
        return value


def interface(column: Any) -> Filter:
    """Filter a column of blocks that keep their host bits, whatever their spelling."""
    return lambda values: column.in_([_canonical_interface(value) for value in values])


def _canonical_interface(value: str) -> str:
    try:
        return ipaddress.ip_interface(value).with_prefixlen
    except ValueError:
        return value


def constant(present: str) -> Filter:
    """Filter an attribute that is the same for every row."""
    return lambda values: sa.true() if present in values else sa.false()


def related(column: Any, other: Filter, select: sa.Select[Any]) -> Filter:
    """Filter by rows of another table: `column` is among those that `select` gives where `other` holds."""
    return lambda values: column.in_(select.where(other(values)))


def changed_since(column: Any) -> Filter:
    """Filter by the time of the last change; raises InvalidField for what is no time."""
    def condition(values: Sequence[str]) -> Condition:
        try:
            return sa.and_(*(column >= clock.parse(value) for value in values))
        except ValueError:
            raise errors.InvalidField(field="changed_since", value=values[0], reason="It is not a time.") from None
    return condition


def tag_filters(column: Any) -> dict[str, Filter]:
    """Return the four filters of a list of tags."""
    def wanted(values: Sequence[str]) -> Collection[str]:
        return [tag for value in values for tag in value.split(",")]

    def has(tag: str) -> Condition:
        # The list is text on every database; `replace` compares case, which LIKE does not everywhere. What comes before
        # a tag tells its opening quote from one inside another tag (which has no comma).
        document = sa.cast(column, sa.Text)
        return sa.or_(*(sa.func.replace(document, before + json.dumps(tag), "") != document
                        for before in ("[", ", ")))

    return {
        "tags": lambda values: sa.and_(*(has(tag) for tag in wanted(values))),
        "tags-any": lambda values: sa.or_(*(has(tag) for tag in wanted(values))),
        "not-tags": lambda values: sa.not_(sa.and_(*(has(tag) for tag in wanted(values)))),
        "not-tags-any": lambda values: sa.not_(sa.or_(*(has(tag) for tag in wanted(values)))),
    }


def standard_filters(model: type[Any]) -> dict[str, Filter]:
    """Return the filters that every resource has."""
    filters: dict[str, Filter] = {
        "id": identifier(model.id), "name": text(model.name), "description": text(model.description),
        "project_id": identifier(model.project_id), "tenant_id": identifier(model.project_id),
        "revision_number": whole_number(model.revision), "changed_since": changed_since(model.updated_at),
    }
    return {**filters, **tag_filters(model.tags)} if hasattr(model, "tags") else filters


def standard_sorting(model: type[Any]) -> dict[str, Any]:
    """Return the sort keys that every resource has."""
    return {"id": model.id, "name": model.name, "project_id": model.project_id, "tenant_id": model.project_id,
            "created_at": model.created_at, "updated_at": model.updated_at, "revision_number": model.revision,
            "description": model.description}
