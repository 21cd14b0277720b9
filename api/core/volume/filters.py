"""Filters of volume lists: one row a filter, from the text asked for to a condition on the volume's row."""

from __future__ import annotations

import ast
import datetime as dt
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import sqlalchemy as sa

from api.core.volume.rows import BACKENDS, LOCKS, NODES, STATUS, TYPES, VOLUMES, has_attachment
from hostler import clock, errors, ids
from hostler.resources.volume import states

Condition = sa.ColumnElement[bool]
Maker = Callable[[str, str], Condition]
_KEY: Final = re.compile(r"[a-zA-Z0-9-_:. /]{1,255}")
_LONGEST_MAP: Final = 4096
_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "gt": operator.gt, "gte": operator.ge, "eq": operator.eq, "neq": operator.ne, "lt": operator.lt,
    "lte": operator.le}
_TRUE: Final = ("1", "t", "true", "on", "y", "yes")
_FALSE: Final = ("0", "f", "false", "off", "n", "no")


def bad(name: str, value: str, reason: str) -> errors.InvalidField:
    """Return the error for a filter value that makes no sense."""
    return errors.InvalidField(field=name, value=value[:80], reason=reason)


def _equals(column: Any) -> Maker:
    return lambda _name, value: column == value


def _id(column: Any) -> Maker:
    return lambda _name, value: column == (ids.canonical(value) or value)


def _like(column: Any) -> Maker:
    def make(_name: str, value: str) -> Condition:
        escaped = re.sub(r"([!%_])", r"!\1", value)
        return column.like(f"%{escaped}%", escape="!")  # type: ignore[no-any-return]
    return make


def _boolean(column: Any) -> Maker:
    def make(name: str, value: str) -> Condition:
        lowered = value.strip().lower()
        if lowered not in _TRUE and lowered not in _FALSE:
            raise bad(name, value, "It must be true or false.")
        return column.is_(lowered in _TRUE)  # type: ignore[no-any-return]
    return make


def _constant(current: bool) -> Maker:
    """All volumes of this cloud are alike in this: the filter keeps all or none."""
    return lambda name, value: sa.true() if (value.strip().lower() in _TRUE) == current else sa.false()


def _number(column: Any) -> Maker:
    def make(name: str, value: str) -> Condition:
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise bad(name, value, "It must be a whole number.")
        return column == int(value)  # type: ignore[no-any-return]
    return make


def _map(column: Any) -> Maker:
    """Every item of the map asked for, spelt as clients do ({'key': 'value'}), is in the column's."""
    def make(name: str, value: str) -> Condition:
        wanted = _read_map(name, value)
        if not all(_KEY.fullmatch(key) for key in wanted):
            return sa.false()
        return sa.and_(sa.true(), *(column[key].as_string() == item for key, item in wanted.items()))
    return make


def _read_map(name: str, text: str) -> dict[str, str]:
    try:
        found = ast.literal_eval(text[:_LONGEST_MAP])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise bad(name, text, "It must be a map like {'key': 'value'}.")
    return {str(key): str(value) for key, value in found.items()}


def _at(column: Any) -> Maker:
    """`gt:2026-01-31T12:00:00,lte:…`: all comparisons hold."""
    def make(name: str, value: str) -> Condition:
        return sa.and_(*(_compared(column, name, term) for term in value.split(",")))
    return make


def _compared(column: Any, name: str, term: str) -> Condition:
    word, _, text = term.strip().partition(":")
    if word not in _COMPARISONS:
        raise bad(name, term, f"It must be one of {', '.join(_COMPARISONS)}, a colon, and a time.")
    try:
        moment: dt.datetime = clock.parse(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise bad(name, term, "It must be a time as ISO 8601 writes it.") from None
    return _COMPARISONS[word](column, moment)  # type: ignore[no-any-return]


def _host(_name: str, value: str) -> Condition:
    node, _, backend = value.partition("#")[0].partition("@")
    return sa.and_(NODES.c.name == node, BACKENDS.c.name == backend if backend else sa.true())


def _volume_type(_name: str, value: str) -> Condition:
    return sa.or_(TYPES.c.name == value, TYPES.c.id == (ids.canonical(value) or value))


def _attach_status(_name: str, value: str) -> Condition:
    attached = has_attachment(states.ATTACHED)
    return attached if value == "attached" else sa.not_(attached) if value == "detached" else sa.false()


def _migration_status(_name: str, value: str) -> Condition:
    migrating = sa.func.coalesce(LOCKS.c.kind, "") == "volume.migrate"
    if value == "migrating":
        return migrating
    return sa.not_(migrating) if value.lower() in ("none", "") else sa.false()


FILTERS: Final[Mapping[str, Maker]] = {
    "name": _equals(VOLUMES.c.name), "name~": _like(VOLUMES.c.name), "display_name": _equals(VOLUMES.c.name),
    "description": _equals(VOLUMES.c.description), "description~": _like(VOLUMES.c.description),
    "id": _id(VOLUMES.c.id), "status": _equals(STATUS), "status~": _like(STATUS), "size": _number(VOLUMES.c.size_gib),
    "metadata": _map(VOLUMES.c.metadata), "glance_metadata": _map(VOLUMES.c.image_metadata),
    "bootable": _boolean(VOLUMES.c.bootable), "multiattach": _boolean(VOLUMES.c.multiattach),
    "availability_zone": _equals(VOLUMES.c.zone), "availability_zone~": _like(VOLUMES.c.zone),
    "volume_type": _volume_type, "volume_type_id": _id(VOLUMES.c.volume_type_id), "user_id": _id(VOLUMES.c.user_id),
    "snapshot_id": _id(VOLUMES.c.snapshot_id), "source_volid": _id(VOLUMES.c.source_volume_id),
    "image_id": _id(VOLUMES.c.image_id), "host": _host, "attach_status": _attach_status,
    "migration_status": _migration_status, "created_at": _at(VOLUMES.c.created_at),
    "updated_at": _at(VOLUMES.c.updated_at), "encrypted": _constant(False), "consumes_quota": _constant(True),
    "group_id": lambda _name, _value: sa.false(), "consistencygroup_id": lambda _name, _value: sa.false(),
}


def conditions_of(filters: Mapping[str, str]) -> list[Condition]:
    """Return the conditions for filters; raises InvalidField for a value that makes no sense."""
    return [FILTERS[name](name, value) for name, value in filters.items()]
