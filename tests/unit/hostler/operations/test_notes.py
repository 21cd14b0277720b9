"""What an operation remembers, and for how long."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hostler import clock, ids
from hostler.db import purge
from hostler.db.engine import Database
from hostler.db.models import Domain, Operation, OperationNote, Project, Volume
from hostler.operations import notes, states
from tests.harness import databases

LONG_AGO = clock.utcnow() - dt.timedelta(days=100)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    made = databases.opened(f"sqlite:///{tmp_path / 'test.db'}")
    yield made
    made.dispose()


def operation(db: Database, resource_id: str, state: str = states.SUCCEEDED) -> str:
    identity = ids.new_id()
    add(db, Operation(id=identity, kind="volume.migrate", resource_type="volume", resource_id=resource_id,
                      request_id="r", state=state, finished_at=LONG_AGO if state == states.SUCCEEDED else None))
    return identity


def add(db: Database, *rows: Any) -> None:
    db.write(lambda session: session.add_all(rows))


def volume(db: Database) -> str:
    project, identity = ids.new_id(), ids.new_id()
    add(db, Domain(id=project, name=project))
    add(db, Project(id=project, name="p", domain_id=project))
    add(db, Volume(id=identity, name="v", project_id=project, user_id=ids.new_id(), size_gib=1, claimed_gib=1,
                   zone="nova", state="available"))
    return identity


def test_notes_are_written_once_read_and_erased(db: Database) -> None:
    identity = operation(db, ids.new_id())
    for key in ("b", "a", "b"):
        db.write(lambda session, key=key: notes.write(session, identity, notes.EXCLUDED, key=key))
    for said in ("first", "second"):
        db.write(lambda session, said=said: notes.write(session, identity, notes.FAILURE, value=said))
    with db.reading() as session:
        assert notes.keys(session, identity, notes.EXCLUDED) == ["a", "b"]
        assert notes.value(session, identity, notes.FAILURE) == "second"
        assert notes.value(session, identity, notes.REPORT) is None
    db.write(lambda session: notes.erase(session, identity, notes.EXCLUDED, key="a"))
    db.write(lambda session: notes.erase(session, identity, notes.EXCLUDED, key="a"))
    with db.reading() as session:
        assert notes.keys(session, identity, notes.EXCLUDED) == ["b"]


def test_what_a_running_operation_left_is_not_yet_sure(db: Database) -> None:
    identity = ids.new_id()
    running, ended = operation(db, identity, states.RUNNING), operation(db, identity)
    for one, backend in ((running, "b1"), (ended, "b2")):
        db.write(lambda session, one=one, backend=backend: notes.write(session, one, notes.LEFT_ON, key=backend))
    with db.reading() as session:
        assert notes.left_on(session, [identity, ids.new_id()]) == {identity: frozenset({"b2"})}


def test_purge_keeps_what_was_left_on_a_back_end_as_long_as_the_volume(db: Database) -> None:
    volume_id = volume(db)
    identity = operation(db, volume_id)
    db.write(lambda session: notes.write(session, identity, notes.LEFT_ON, key="b1"))
    db.write(lambda session: notes.write(session, identity, notes.FAILURE, value="The disk is broken."))
    before = clock.utcnow() - dt.timedelta(days=30)
    assert purge.purge(db, before)["operations"] == 1
    with db.reading() as session:
        assert notes.left_on(session, [volume_id]) == {volume_id: frozenset({"b1"})}
        assert session.scalars(sa.select(OperationNote.name)).all() == [notes.LEFT_ON]
    db.write(lambda session: session.execute(sa.update(Volume).values(deleted_at=LONG_AGO)))
    assert purge.purge(db, before)["operation_notes"] == 1
