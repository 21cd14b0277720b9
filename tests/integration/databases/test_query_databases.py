"""Every operator, bound and pattern of the query engine finds the same rows on every database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.core.network.networks import NETWORK
from api.core.server.fields import SERVER
from api.core.volume.list import VOLUME
from hostler.db.engine import Database
from hostler.db.models import Base
from hostler.query.compiler import condition_of
from hostler.query.expressions import Compare, Expression, Not, Operator, Quantifier, Some
from hostler.query.paging import Query, read_page
from hostler.query.resources import Resource
from tests.harness import databases, small_cloud

ALL = ["app", "db", "web"]


@pytest.fixture(scope="module", params=databases.KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database of each kind with the rows that are asked about."""
    if reason := databases.missing(request.param):
        pytest.skip(reason)
    with databases.running(request.param, Path(tmp_path_factory.mktemp(request.param))) as url:
        found = Database(url)
        Base.metadata.create_all(found.engine)
        found.write(small_cloud.fill)
        yield found
        found.dispose()


def find(database: Database, expression: Expression, resource: Resource = SERVER) -> list[str]:
    name = resource.table.c.name
    with database.reading() as session:
        return list(session.scalars(sa.select(name).select_from(resource.source).where(
            condition_of(resource, expression)).order_by(name)))


def compare(path: str, operator: Operator, value: Any = None) -> Compare:
    return Compare(path, operator, value)


@pytest.mark.parametrize(("expression", "expected"), [
    (compare("vcpus", Operator.IN, ["1", 10 ** 30]), ["app"]), (compare("vcpus", Operator.LT, 1 << 31), ALL),
    (compare("vcpus", Operator.GT, 1 << 63), []), (compare("vcpus", Operator.GE, -(1 << 63)), ALL),
    (compare("name", Operator.EQ, "d\0b"), []), (compare("name", Operator.NE, "d\0b"), ALL),
    (compare("name", Operator.EQ, "DB"), []), (compare("name", Operator.CONTAINS, "B"), []),
    (compare("name", Operator.ICONTAINS, "B"), ["db", "web"]), (compare("name", Operator.LIKE, "_e%"), ["web"]),
    (compare("description", Operator.ENDS, "b%"), ["db", "web"]), (compare("description", Operator.NULL), ["app"]),
    (Not(compare("description", Operator.EQ, "the db%")), ["app", "web"]),
    (compare("locked", Operator.EQ, "yes"), ["db"]), (compare("locked", Operator.NOT_IN, ["yes"]), ["app", "web"]),
    (compare("created_at", Operator.GE, "2026-01-02T00:00:00Z"), ["db", "web"]),
    (compare("created_at", Operator.LT, "9999-12-31T23:59:59"), ALL),
    (compare("created_at", Operator.GT, "0001-01-01T00:00:00"), ALL),
    (compare("metadata", Operator.HAS, ("tier", "web")), ["web"]),
    (compare("metadata", Operator.HAS, ("a'b", "x")), []),
    (compare("id", Operator.EQ, "x" * 300), []), (compare("status", Operator.EQ, "ACTIVE"), ALL),
    (compare("ports.fixed_ips.ip_address", Operator.EQ, "10.0.0.6"), ["db"]),
    (compare("volume_attachments.volume.status", Operator.EQ, "in-use"), ["db", "web"]),
    (Some("volume_attachments.volume", compare("size_gib", Operator.GT, 1000), Quantifier.EVERY), ["app"]),
    (Some("volume_attachments", quantifier=Quantifier.NONE), ["app"]),
    *((compare("name", Operator.MATCHES, pattern), expected) for pattern, expected in (
        ("^[dw]", ["db", "web"]), ("^[a-e]+$", ["db"]), ("^\\w{3}$", ["app", "web"]), ("^(a|w).*[bp]$", ["app", "web"]),
        ("p{2}$", ["app"]), ("[^a-z]", []), ("^d.$", ["db"]), ("[.]", []), ("%", []), ("^(ap+|x)[p]?$", ["app"])))])
def test_what_is_found(database: Database, expression: Expression, expected: list[str]) -> None:
    assert find(database, expression) == expected


def test_tags_and_volumes(database: Database) -> None:
    for tag, expected in (("red", ["net"]), ("a b", ["net"]), ("RED", []), ("re", [])):
        assert find(database, compare("tags", Operator.HAS, tag), NETWORK) == expected
    owner = Some("volume_attachments.server", compare("name", Operator.EQ, "db"))
    assert find(database, owner, VOLUME) == ["db-0", "db-1"]


@pytest.mark.parametrize("field", ["name", "description", "locked", "created_at", "vcpus", "host_id", "task_state"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_in_both_directions(database: Database, field: str, descending: bool) -> None:
    def page(**more: Any) -> list[Any]:
        with database.reading() as session:
            return list(read_page(session, SERVER, Query(sort=((field, descending),), **more)).rows)

    everything = [row.id for row in page()]
    for index, marker in enumerate(everything):
        assert [row.id for row in page(marker=marker)] == everything[index + 1:]
        assert [row.id for row in page(marker=marker, reverse=True)] == everything[:index]
        assert [row.id for row in page(marker=marker, limit=1)] == everything[index + 1:index + 2]
        assert [row.id for row in page(marker=marker, reverse=True, limit=1)] == everything[:index][-1:]
