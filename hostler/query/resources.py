"""Resources: what a list can be asked about, declared once for each model.

Fields come from the model's columns and relations from its foreign keys; `declare` adds what is derived. A column
`host_id` that refers to hosts gives the relation `host`, and hosts get the relation `servers` back. A second reference
between the same two tables is named after its column (`volumes_by_target_backend_id`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Final

from hostler.db.models import Base
from hostler.query import fields as query_fields
from hostler.query.fields import Field


@dataclasses.dataclass(frozen=True, eq=False)
class Relation:
    """Rows of `target` (a table) whose `remote` column equals this row's `local` one."""

    target: Any
    local: Any
    remote: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Resource:
    """What rows of a model can be asked about. `source` is the table with the joins that `fields` need; `key` is the
    column that markers name."""

    table: Any
    model: Any
    fields: Mapping[str, Field]
    relations: Mapping[str, Relation]
    source: Any
    key: Any


_DECLARED: Final[dict[Any, Resource]] = {}


def declare(model: Any, fields: Mapping[str, Field] | None = None, *, source: Any = None, key: str = "id") -> Resource:
    """Declare a model's resource: its columns and relations, with `fields` added or replaced."""
    table = model.__table__
    found = Resource(table, model, {**query_fields.of_columns(table), **(fields or {})},
                     derived_relations(table), table if source is None else source, table.c[key])
    _DECLARED[table] = found
    return found


def resource_of(table: Any) -> Resource:
    """Return the resource declared for a table, or one of nothing but its columns and relations."""
    return _DECLARED.get(table) or _plain(table)


@functools.cache
def _plain(table: Any) -> Resource:
    model = next(mapper.class_ for mapper in Base.registry.mappers if mapper.local_table is table)
    return Resource(table, model, query_fields.of_columns(table), derived_relations(table), table,
                    next(iter(table.primary_key)))


def derived_relations(table: Any) -> dict[str, Relation]:
    """Return the relations that foreign keys give a table, in both directions."""
    found: dict[str, Relation] = {}
    for column in table.c:
        for key in column.foreign_keys:
            found[column.key.removesuffix("_id")] = Relation(key.column.table, column, key.column)
    for other in Base.metadata.sorted_tables:
        for column in other.c:
            for key in column.foreign_keys:
                if key.column.table is table:
                    name = other.name if other.name not in found else f"{other.name}_by_{column.key}"
                    found[name] = Relation(other, key.column, column)
    return found

