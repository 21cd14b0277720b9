"""CloudTower's `where` maps onto the same tree: nested objects, suffixes, AND, OR, NOT, some, every, none."""

from __future__ import annotations

from typing import Any

import pytest

from api.core.network.ports import PORT
from api.core.server.fields import SERVER
from api.core.volume.list import VOLUME
from hostler.query.expressions import And, Compare, Expression, Not, Operator, Or, Quantifier, Some
from tests.harness.small_cloud import SERVERS, Find

_SUFFIXES = {"not": Operator.NE, "in": Operator.IN, "not_in": Operator.NOT_IN, "lt": Operator.LT, "lte": Operator.LE,
             "gt": Operator.GT, "gte": Operator.GE, "contains": Operator.CONTAINS, "starts_with": Operator.STARTS,
             "ends_with": Operator.ENDS}
# The relations of each type, as paths of ours.
_RELATIONS = {"vm": {"vm_disks": "volume_attachments.volume", "vm_nics": "ports", "host": "host"},
              "disk": {"vm": "volume_attachments.server", "vm_volume": ""}, "nic": {"vm": "server"}, "host": {}}
_TARGETS = {"vm_disks": "disk", "vm_nics": "nic", "vm": "vm", "host": "host", "vm_volume": "disk"}


def parse(kind: str, where: dict[str, Any]) -> Expression:
    """Return the tree of a `where` on objects of a kind."""
    return And(tuple(_key(kind, key, value) for key, value in where.items()))


def _key(kind: str, key: str, value: Any) -> Expression:
    if key in ("AND", "OR", "NOT"):
        parts = tuple(parse(kind, part) for part in (value if isinstance(value, list) else [value]))
        return And(parts) if key == "AND" else Or(parts) if key == "OR" else Not(Or(parts))
    name, _, word = key.rpartition("_")
    if word in ("some", "every", "none") and name in _RELATIONS[kind]:
        return Some(_RELATIONS[kind][name], parse(_TARGETS[name], value), Quantifier(word))
    if key in _RELATIONS[kind]:
        path = _RELATIONS[kind][key]
        if value is None:
            return Some(path, quantifier=Quantifier.NONE)
        return Some(path, parse(_TARGETS[key], value)) if path else parse(_TARGETS[key], value)
    for suffix, operator in sorted(_SUFFIXES.items(), key=lambda item: -len(item[0])):
        if key.endswith(f"_{suffix}"):
            return _negated(key.removesuffix(f"_{suffix}"), operator, value)
    return Compare(key, Operator.NULL) if value is None else Compare(key, Operator.EQ, value)


def _negated(field: str, operator: Operator, value: Any) -> Expression:
    if field.endswith("_not"):
        return Not(Compare(field.removesuffix("_not"), operator, value))
    return Compare(field, operator, value)


@pytest.mark.parametrize(("where", "expected"), [
    ({"name": "db"}, ["db"]), ({"name_not": "db"}, ["app", "web"]), ({"name_in": ["db", "web"]}, ["db", "web"]),
    ({"name_not_in": ["db", "web"]}, ["app"]), ({"name_contains": "b"}, ["db", "web"]),
    ({"name_not_contains": "b"}, ["app"]), ({"name_starts_with": "w"}, ["web"]), ({"vcpus_gte": 2}, ["db", "web"]),
    ({"vcpus_gt": 1, "vcpus_lt": 3}, ["db"]), ({"description": None}, ["app"]), ({"host": None}, ["app"]),
    ({"OR": [{"name": "db"}, {"AND": [{"vcpus": 3}, {"NOT": [{"name": "db"}]}]}]}, ["db", "web"]),
    ({"NOT": [{"name": "db"}, {"description_contains": "web"}]}, ["app"]),
    ({"vm_disks_some": {"size_gib_gt": 1000}}, ["db"]), ({"vm_disks_none": {"size_gib_gt": 1000}}, ["app", "web"]),
    ({"vm_disks_every": {"size_gib_gt": 100}}, ["app", "web"]),
    ({"host": {"OR": [{"name": "h1"}, {"name_ends_with": "2"}]}}, ["db", "web"]),
])
def test_virtual_machines(find: Find, where: dict[str, Any], expected: list[str]) -> None:
    assert find(parse("vm", where), SERVER.table) == expected


def test_the_disks_of_a_machine(find: Find) -> None:
    where = {"vm": {"id": SERVERS["db"]}, "vm_volume": {"id_not": "none"}}
    assert find(parse("disk", where), VOLUME.table) == ["db-0", "db-1"]
    assert find(parse("disk", {**where, "vm_volume": {"name": "db-1"}}), VOLUME.table) == ["db-1"]


def test_the_nics_of_a_machine(find: Find) -> None:
    where = {"vm": {"id": SERVERS["web"]}, "mac_address": "aa:bb:cc:dd:ee:02"}
    assert find(parse("nic", where), PORT.table) == ["port-web"]
    assert find(parse("nic", {**where, "mac_address": "aa:bb:cc:dd:ee:01"}), PORT.table) == []
