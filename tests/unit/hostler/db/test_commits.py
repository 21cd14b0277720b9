"""A commit whose answer is lost is carried out once."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc, orm

from hostler import errors
from hostler.db import engine
from hostler.db.engine import Database
from hostler.db.models import Zone
from tests.harness import databases


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = databases.prepare(Database(f"sqlite:///{tmp_path / 'test.db'}", patience_s=1.0))
    yield made
    made.dispose()


def _lose(db: Database, monkeypatch: pytest.MonkeyPatch, *, durable: bool, times: int = 1) -> None:
    """Break the connection under the next commits, after or before they are carried out."""
    commit: Callable[[Any], None] = db.engine.dialect.do_commit
    left = [times]

    def broken(connection: Any) -> None:
        if left[0]:
            left[0] -= 1
            (commit if durable else db.engine.dialect.do_rollback)(connection)
            raise exc.OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)
        commit(connection)

    monkeypatch.setattr(db.engine.dialect, "do_commit", broken)


def _names(db: Database) -> list[str]:
    with db.reading() as session:
        return list(session.scalars(sa.select(Zone.name)))


@pytest.mark.parametrize("durable", [True, False])
def test_it_is_written_once(db: Database, monkeypatch: pytest.MonkeyPatch, durable: bool) -> None:
    _lose(db, monkeypatch, durable=durable)
    tries: list[Zone] = []

    def work(session: orm.Session) -> Zone:
        zone = Zone(name=f"try {len(tries)}")
        session.add(zone)
        tries.append(zone)
        return zone

    zone = db.write(work)
    assert len(tries) == (1 if durable else 2)
    assert (zone is tries[-1], zone.name, zone.id is not None) == (True, f"try {len(tries) - 1}", True)
    assert _names(db) == [zone.name]


def test_a_deletion_is_not_taken_for_missing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    db.write(lambda session: session.add(Zone(name="one")))
    _lose(db, monkeypatch, durable=True)

    def work(session: orm.Session) -> str:
        zone = session.scalars(sa.select(Zone).where(Zone.name == "one")).one()
        session.delete(zone)
        return "deleted"

    assert db.write(work) == "deleted"
    assert _names(db) == []


def test_what_cannot_be_known_in_time_is_said(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "_max_retries", 2)
    monkeypatch.setattr(engine, "_UNSURE_S", 0.5)
    _lose(db, monkeypatch, durable=False, times=99)
    with pytest.raises(errors.DatabaseUnavailable):
        db.write(lambda session: session.add(Zone(name="never")))
    assert _names(db) == []


# Statements that insert without the ORM, and why their transaction is found all the same.
_BELOW_THE_ORM = {
    "hostler/db/models/default_rule.py": "what a new database starts with, in the transaction that makes the table",
    "hostler/db/together.py": "rows beside ports, which go through the ORM: their addresses and groups",
    "hostler/db/upsert.py": "a run's own: it writes again what is there, by key",
    "hostler/operations/accept.py": "locks beside their operation, which goes through the ORM",
    "hostler/operations/steps.py": "a run's own: it writes again what is there, by key",
    "hostler/resources/network/peers.py": "whose place changed since a revision: noted twice, it says the same",
    "hostler/resources/revisions.py": "what a count of members is about: counted twice, it says the same",
    "hostler/resources/server/allocations.py": "a claim: the scheduler looks for the consumer's before it makes one",
}


def test_what_requests_create_goes_through_the_orm() -> None:
    """A lost answer to a commit is looked up by the rows the ORM inserted; others would be inserted twice."""
    root = Path(__file__).parents[4]
    found = {str(path.relative_to(root)) for room in ("api", "conductor", "hostler", "scheduler")
             for path in (root / room).rglob("*.py") if "migrations" not in path.parts
             if _MAY_INSERT.search(text := path.read_text()) and any(map(_inserts, ast.walk(ast.parse(text))))}
    assert found == set(_BELOW_THE_ORM)


# What any text has in which `_inserts` finds something; to parse all of them takes seconds.
_MAY_INSERT = re.compile(r"insert|bulk_", re.IGNORECASE)


def _inserts(node: ast.AST) -> bool:
    """`sa.insert(table)` and `table.insert()`, not `list.insert(0, item)`; the session's bulk methods, and SQL text."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.upper().startswith("INSERT INTO")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr.startswith("bulk_") or (node.func.attr == "insert" and len(node.args) < 2)
