"""ZStack's `Query…` conditions map onto the same tree: operators, paths, and one related row for what names it."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from hostler.query.expressions import And, Compare, Expression, Operator, Some
from tests.harness.small_cloud import Find

_OPERATORS = {"!?=": Operator.NOT_IN, "!~=": Operator.NOT_LIKE, "?=": Operator.IN, "~=": Operator.LIKE,
              ">=": Operator.GE, "<=": Operator.LE, "!=": Operator.NE, "=": Operator.EQ, ">": Operator.GT,
              "<": Operator.LT}
_CONDITION = re.compile(r"([\w.]+)(!\?=|!~=|\?=|~=|>=|<=|!=|=|>|<)(.*)")
# The names that ZStack's users know, as paths of ours.
_NAMES = {"allVolumes": "volume_attachments.volume", "vmNics": "ports", "size": "size_gib", "cpuNum": "vcpus"}


def parse(conditions: str) -> Expression:
    """Return the tree of conditions as the CLI writes them; those on one related object hold for one row."""
    by_relation: dict[str, list[Expression]] = defaultdict(list)
    for text in conditions.split():
        match = _CONDITION.fullmatch(text)
        assert match is not None, text
        *relations, field = match[1].split(".")
        path = ".".join(_NAMES.get(name, name) for name in relations)
        by_relation[path].append(_compare(_NAMES.get(field, field), _OPERATORS[match[2]], match[3]))
    return And(tuple(Some(path, And(tuple(parts))) if path else And(tuple(parts))
                     for path, parts in by_relation.items()))


def _compare(field: str, operator: Operator, text: str) -> Expression:
    if text == "null":
        return Compare(field, Operator.NULL if operator is Operator.EQ else Operator.NOT_NULL)
    if field == "type":
        return Compare("metadata", Operator.HAS, ("kind", text))
    if field == "size_gib":  # ZStack counts bytes
        return Compare(field, operator, int(text) >> 30)
    if operator in (Operator.IN, Operator.NOT_IN):
        return Compare(field, operator, [item.strip() for item in text.split(",")])
    if operator in (Operator.LIKE, Operator.NOT_LIKE) and "%" not in text and "_" not in text:
        text = f"%{text}%"
    return Compare(field, operator, text)


@pytest.mark.parametrize(("conditions", "expected"), [
    ("allVolumes.type=Data allVolumes.size>1099511627776", ["db"]),
    ("allVolumes.type=Root allVolumes.size>1099511627776", []),
    ("allVolumes.type=Data allVolumes.size<1099511627776", ["web"]),
    ("name=db", ["db"]), ("name!=db", ["app", "web"]), ("cpuNum>1", ["db", "web"]), ("cpuNum>=3", ["web"]),
    ("cpuNum<2", ["app"]), ("cpuNum<=2", ["app", "db"]), ("name~=b", ["db", "web"]), ("name~=_b", ["db"]),
    ("name!~=b", ["app"]), ("name?=db,web", ["db", "web"]), ("name!?=db,web", ["app"]),
    ("description=null", ["app"]), ("description!=null", ["db", "web"]),
    ("vmNics.mac_address=aa:bb:cc:dd:ee:01", ["db"]), ("vmNics.name!=port-db", ["app", "web"]),
    ("host.name=h1 allVolumes.type=Data", ["web"]),
])
def test_conditions(find: Find, conditions: str, expected: list[str]) -> None:
    assert find(parse(conditions)) == expected
