"""Expressions become one condition: comparisons of every kind, relations, and what no value can be."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from api.core.network.networks import NETWORK
from api.core.server.fields import SERVER
from api.core.volume.list import VOLUME
from hostler import errors, ids
from hostler.query.compiler import MAX_DEPTH, condition_of
from hostler.query.expressions import (
    EVERYTHING,
    NOTHING,
    And,
    Compare,
    Expression,
    Not,
    Operator,
    Or,
    Quantifier,
    Some,
)
from tests.harness.small_cloud import SERVERS, Find

ALL = ["app", "db", "web"]


def compare(path: str, sign: str, value: Any = None) -> Compare:
    return Compare(path, Operator(sign), value)


@pytest.mark.parametrize(("expression", "expected"), [
    (EVERYTHING, ALL), (NOTHING, []),
    (compare("name", "=", "db"), ["db"]), (compare("name", "!=", "db"), ["app", "web"]),
    (compare("vcpus", ">", "1"), ["db", "web"]), (compare("vcpus", "<=", 1), ["app"]),
    (compare("vcpus", "in", ["1", "3"]), ["app", "web"]), (compare("vcpus", "not in", ["1", "3"]), ["db"]),
    (compare("vcpus", "in", []), []), (compare("name", "like", "_e%"), ["web"]),
    (compare("name", "not like", "%e%"), ["app", "db"]), (compare("description", "is null"), ["app"]),
    (compare("description", "is not null"), ["db", "web"]), (compare("description", "ends with", "b%"), ["db", "web"]),
    (compare("name", "contains", "B"), []), (compare("name", "contains, whatever the case", "B"), ["db", "web"]),
    (compare("locked", "=", "true"), ["db"]), (compare("locked", "!=", True), ["app", "web"]),
    (compare("created_at", ">=", "2026-01-02T00:00:00Z"), ["db", "web"]),
    (compare("created_at", "<", dt.datetime(2026, 1, 2)), ["app"]),
    (compare("id", "=", ids.bare(SERVERS["db"])), ["db"]), (compare("metadata", "has", ("tier", "web")), ["web"]),
    (Not(compare("description", "=", "the db%")), ["app", "web"]),
    (Or((compare("name", "=", "db"), And((compare("name", "=", "web"), compare("vcpus", "=", 3))))), ["db", "web"]),
    (compare("host.name", "=", "h1"), ["web"]), (compare("ports.fixed_ips.ip_address", "=", "10.0.0.6"), ["db"]),
    (compare("ports.network.subnets.cidr", "=", "10.0.0.0/24"), ALL),
    (compare("volume_attachments.volume.size_gib", ">", 1000), ["db"]),
    (Some("server_tags", compare("tag", "=", "db")), ["db"]),
    (Some("volume_attachments", quantifier=Quantifier.NONE), ["app"]),
    (Some("volume_attachments", compare("volume.bootable", "=", False), Quantifier.EVERY), ["app", "web"]),
    # From a server over its volumes back to servers: the same table twice.
    (compare("volume_attachments.volume.volume_attachments.server.name", "=", "db"), ["db"]),
    (compare("volume_attachments.volume.status", "=", "in-use"), ["db", "web"]),
])
def test_what_is_found(find: Find, expression: Expression, expected: list[str]) -> None:
    assert find(expression) == expected


@pytest.mark.parametrize(("expression", "expected"), [
    (compare("vcpus", "=", 10 ** 30), []), (compare("vcpus", "!=", 10 ** 30), ALL),
    (compare("vcpus", "<", 1 << 31), ALL), (compare("vcpus", ">", 1 << 63), []),
    (compare("vcpus", ">", -(10 ** 30)), ALL),
    (compare("vcpus", "<=", -(10 ** 30)), []), (compare("vcpus", "in", [10 ** 30, 2]), ["db"]),
    (compare("name", "=", "d\0b"), []), (compare("name", "!=", "d\0b"), ALL), (compare("name", "like", "\0%"), []),
    (compare("name", "contains", "\0"), []), (compare("metadata", "has", ("tier", "\0")), []),
    (compare("metadata", "has", ('ti"er', "web")), []), (compare("id", "=", "no id"), []),
    (compare("id", "not in", ["no id"]), ALL), (compare("created_at", "<", "9999-12-31T23:59:59"), ALL),
])
def test_values_that_no_row_can_have(find: Find, expression: Expression, expected: list[str]) -> None:
    assert find(expression) == expected


@pytest.mark.parametrize("expression", [
    compare("nothing", "=", 1), compare("nothing.name", "=", 1), compare("host.nothing", "=", 1),
    compare("host", "=", 1), compare("user_data", "=", "x"), compare("vcpus", "=", "many"),
    compare("vcpus", "=", "1" * 5000), compare("locked", "=", "perhaps"), compare("locked", "<", True),
    compare("created_at", "=", "yesterday"), compare("created_at", "=", "0001-01-01T00:00:00+23:00"),
    compare("status", ">", "ACTIVE"), Some("nothing")])
def test_what_makes_no_sense_is_refused_by_name(find: Find, expression: Expression) -> None:
    with pytest.raises(errors.InvalidField):
        find(expression)


def test_a_guarded_field_is_not_there_for_others(find: Find) -> None:
    wanted = compare("network_type", "=", "flat")
    assert find(wanted, NETWORK.table) == ["net"]
    with pytest.raises(errors.InvalidField):
        find(wanted, NETWORK.table, lambda _action: False)


def test_tags_in_a_list_are_whole(find: Find) -> None:
    for tag, expected in (("red", ["net"]), ("a b", ["net"]), ("re", []), ("b", []), ("RED", [])):
        assert find(compare("tags", "has", tag), NETWORK.table) == expected, tag


def test_a_tree_has_its_depth(find: Find) -> None:
    expression: Expression = EVERYTHING
    for _ in range(MAX_DEPTH + 1):
        expression = Not(expression)
    with pytest.raises(errors.Invalid):
        find(expression)


def test_a_path_becomes_exists_in_one_statement() -> None:
    statement = str(sa.select(SERVER.table.c.id).where(
        condition_of(SERVER, compare("ports.network.mtu", ">", 1))))
    assert statement.count("EXISTS") == 2 and "JOIN" not in statement
    assert VOLUME.relations["volume_attachments"].remote.table.name == "volume_attachments"
