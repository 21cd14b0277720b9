"""The query of GET /v2/images: published filters and sort keys, and the fields they name.

A name that is not an attribute filters on the property of that name.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Final

import falcon

from api import paging
from api.core.image.list import ImageQuery
from hostler import errors
from hostler.query import text
from hostler.query.expressions import NOTHING, And, Compare, Expression, Operator
from hostler.query.fields import BIG_INTEGER, refuse, whole
from hostler.query.paging import Query

_NOT_FILTERS: Final = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status",
                                 "os_hidden"})
_SORTABLE: Final = {"size": "size_bytes", **{name: name for name in (
    "name", "status", "container_format", "disk_format", "id", "created_at", "updated_at")}}
_DEFAULT_SORT: Final = (("created_at", True), ("id", True))


def _every(path: str, operator: Operator = Operator.EQ) -> text.Filter:
    return lambda _name, values: And(tuple(Compare(path, operator, value) for value in values))


def _alternatives(path: str) -> text.Filter:
    """`in:a,"b,c"`, or the one value."""
    def make(name: str, values: Sequence[str]) -> Expression:
        return And(tuple(Compare(path, Operator.IN, _listed(name, value)) for value in values))
    return make


def _listed(name: str, value: str) -> list[str]:
    if not value.startswith("in:"):
        return [value]
    try:
        return next(csv.reader([value[3:]], strict=True, skipinitialspace=True))
    except (csv.Error, StopIteration):
        raise refuse(name, value, "The list's quotes do not match.") from None


def _number(path: str, operator: Operator = Operator.EQ) -> text.Filter:
    def make(name: str, values: Sequence[str]) -> Expression:
        for value in values:
            if whole(name, value) < 0 or not BIG_INTEGER.holds(whole(name, value)):
                raise refuse(name, value, "It is out of range.")
        return _every(path, operator)(name, values)
    return make


def _protected(name: str, values: Sequence[str]) -> Expression:
    return And(tuple(Compare("protected", Operator.EQ, truth(name, value)) for value in values))


def _hash_algorithm(_name: str, values: Sequence[str]) -> Expression:
    return Compare("sha512", Operator.NOT_NULL) if set(values) == {"sha512"} else NOTHING


def _tag(_name: str, values: Sequence[str]) -> Expression:
    return And(tuple(text.tag_row("image_tags")(value) for value in values))


def _changes_since(name: str, values: Sequence[str]) -> Expression:
    raise refuse(name, values[-1], "This filter is no longer available; use updated_at.")


def _property(name: str, values: Sequence[str]) -> Expression:
    return And(tuple(Compare("properties", Operator.HAS, (name, value)) for value in values))


_FILTERS: Final[dict[str, text.Filter]] = {
    **{name: _alternatives(path) for name, path in {
        "id": "id", "owner": "project_id", "name": "name", "status": "status", "disk_format": "disk_format",
        "container_format": "container_format", "checksum": "md5", "os_hash_value": "sha512"}.items()},
    "min_disk": _number("min_disk_gib"), "min_ram": _number("min_ram_mib"), "size": _number("size_bytes"),
    "virtual_size": _number("virtual_size_bytes"), "size_min": _number("size_bytes", Operator.GE),
    "size_max": _number("size_bytes", Operator.LE), "created_at": text.seconds("created_at"),
    "updated_at": text.seconds("updated_at"), "protected": _protected, "tag": _tag, "os_hash_algo": _hash_algorithm,
    "changes-since": _changes_since}


def truth(name: str, value: str) -> bool:
    """Return `true` or `false`, in any case, as a truth value; raises InvalidField for anything else."""
    if value.lower() not in ("true", "false"):
        raise refuse(name, value, "It must be true or false.")
    return value.lower() == "true"


def read_query(request: falcon.Request, maximum: int) -> ImageQuery:
    """Return what a list request asks for; raises InvalidField."""
    for name, value in request.params.items():
        if "\0" in name or any("\0" in item for item in value):
            raise refuse(name, value, "Text must not contain NUL.")
    conditions = [_FILTERS.get(name, _property)(name, [value] if isinstance(value, str) else value)
                  for name, value in request.params.items() if name not in _NOT_FILTERS]
    hidden = request.get_param("os_hidden")
    return ImageQuery(
        page=Query(where=And(tuple(conditions)), sort=_sort(request), limit=paging.limit_of(request, maximum),
                   marker=request.get_param("marker") or None, missing=_unknown_marker),
        visibility=request.get_param("visibility"), member_status=request.get_param("member_status") or "accepted",
        hidden=hidden is not None and truth("os_hidden", hidden))


def _unknown_marker(marker: str) -> errors.InvalidField:
    return refuse("marker", marker, "There is no such image.")


def _sort(request: falcon.Request) -> tuple[tuple[str, bool], ...]:
    """Return the sort asked for, made total by creation time and id; one direction counts for all keys."""
    keys, directions = (request.get_param_as_list(name) or [] for name in ("sort_key", "sort_dir"))
    if len(directions) > 1 and len(directions) != len(keys):
        raise errors.Invalid(reason="Number of sort dirs does not match the number of sort keys.")
    asked = paging.sort_of(request, _SORTABLE)
    if len(directions) == 1:
        asked = [(field, asked[0][1]) for field, _ in asked]
    named = {field for field, _ in asked}
    return (*asked, *((field, descending) for field, descending in _DEFAULT_SORT if field not in named))
