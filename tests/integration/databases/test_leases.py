"""An operation is claimed, worked on, handed over and ended on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock, ids
from hostler.db.engine import Database
from hostler.db.models import Lock, Operation, OperationStep
from hostler.operations import lease, states, steps
from tests.harness import databases
from tests.harness.fixtures import database_url

__all__ = ["database_url"]


@pytest.fixture(scope="module")
def db(database_url: str) -> Iterator[Database]:
    made = databases.opened(database_url)
    yield made
    made.dispose()


def put_operation(db: Database) -> str:
    operation_id = ids.new_id()

    def work(session: orm.Session) -> None:
        session.add(Operation(id=operation_id, kind="server.create", resource_type="server", resource_id=operation_id,
                              request_id="req-1", arguments={"kept": 1, "admin_password": "secret"}))
        session.flush()
        session.add(Lock(resource_id=operation_id, resource_type="server", operation_id=operation_id,
                         kind="server.create"))

    db.write(work)
    return operation_id


def row(db: Database, operation_id: str) -> Operation:
    with db.reading() as session:
        return session.get_one(Operation, operation_id)


def claim(db: Database, operation_id: str) -> lease.Claim:
    held = lease.claim(db, operation_id, "one", 30)
    assert held is not None
    return held


def test_a_claim_excludes_others_until_it_is_handed_over(db: Database) -> None:
    operation_id = put_operation(db)
    held = claim(db, operation_id)
    assert (held.attempt, held.crashes, held.arguments) == (1, 0, {"kept": 1, "admin_password": "secret"})
    assert lease.claim(db, operation_id, "two", 30) is None
    db.write(lambda session: lease.hand_over(session, held, delay_s=-1, host="h", waiting_for=None, waiting_since=None))
    again = lease.claim(db, operation_id, "two", 30)
    assert again is not None and (again.attempt, again.host) == (2, "h")
    with pytest.raises(lease.LeaseLost):
        db.write(lambda session: lease.check_owned(session, held, progress=50))
    with pytest.raises(lease.LeaseLost):
        db.write(lambda session: lease.write_step(session, held, progress=50))
    assert row(db, operation_id).progress == 0


def test_a_lease_that_ran_out_counts_as_a_crash(db: Database) -> None:
    operation_id = put_operation(db)
    held = lease.claim(db, operation_id, "one", -1)
    assert held is not None
    assert claim(db, operation_id).crashes == 1


def test_an_owner_that_lives_takes_the_crash_back_once_it_was_counted(db: Database) -> None:
    operation_id = put_operation(db)
    held = lease.claim(db, operation_id, "one", -1)
    assert held is not None
    db.write(lambda session: lease.note_alone(session, held, True))
    db.write(lambda session: lease.forgive(session, held, alone=True))
    assert row(db, operation_id).crashes_alone == 0, "nobody has taken it over yet"
    again = claim(db, operation_id)
    assert (again.crashes, again.crashes_alone) == (1, 1)
    db.write(lambda session: lease.forgive(session, held, alone=True))
    db.write(lambda session: lease.forgive(session, held, alone=True))
    assert (row(db, operation_id).crashes, row(db, operation_id).crashes_alone) == (0, 0)


def test_a_step_is_told_that_it_should_stop(db: Database) -> None:
    operation_id = put_operation(db)
    held = claim(db, operation_id)
    assert db.write(lambda session: lease.write_step(session, held, progress=10, flow={"a": [1]})) is False
    db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.id == operation_id).values(cancel_requested=True)))
    assert db.write(lambda session: lease.write_step(session, held, progress=20)) is True
    found = row(db, operation_id)
    assert (found.progress, found.flow) == (20, {"a": [1]})


def step(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "uuid": ids.new_id(), "state": state, "detail": {}, "host": None,
            "started_at": clock.utcnow(), "finished_at": None, **more}


def steps_of(db: Database, operation_id: str) -> dict[str, OperationStep]:
    with db.reading() as session:
        return {found.name: found for found in session.scalars(
            sa.select(OperationStep).where(OperationStep.operation_id == operation_id))}


def test_steps_are_written_with_their_operation(db: Database) -> None:
    operation_id = put_operation(db)
    held = claim(db, operation_id)
    # What an agent answers may have any character in it.
    detail = {"said": "caf\u00e9 \\ \" \x00", "numbers": [1, None, 2.5]}
    first, second = step("One", "SUCCESS", detail=detail, host="h"), step("Two", "RUNNING")
    assert steps.write_alone(db, lambda session: steps.write(
        session, held, [first, second], {"progress": 50, "host": "h", "flow": {"a": [1]}})) is False
    found = steps_of(db, operation_id)
    assert {name: (row.state, row.host, row.detail) for name, row in found.items()} == {
        "One": ("SUCCESS", "h", detail), "Two": ("RUNNING", None, {})}
    assert (found["One"].started_at, found["One"].finished_at) == (first["started_at"], None)
    assert (row(db, operation_id).progress, row(db, operation_id).host, row(db, operation_id).flow) == (
        50, "h", {"a": [1]})
    db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.id == operation_id).values(cancel_requested=True)))
    ended = {**second, "state": "SUCCESS", "finished_at": clock.utcnow()}
    assert db.write(lambda session: steps.write(session, held, [ended], {"progress": 60})) is True
    again = steps_of(db, operation_id)["Two"]
    assert (again.state, again.started_at, again.finished_at) == (
        "SUCCESS", second["started_at"], ended["finished_at"])
    assert db.write(lambda session: steps.write(session, held, [], {"progress": 70})) is True
    assert row(db, operation_id).progress == 70


def test_steps_of_a_lost_operation_are_not_written(db: Database) -> None:
    operation_id = put_operation(db)
    held = lease.claim(db, operation_id, "one", -1)
    assert held is not None
    claim(db, operation_id)
    for write in (db.write, lambda work: steps.write_alone(db, work)):
        with pytest.raises(lease.LeaseLost):
            write(lambda session: steps.write(session, held, [step("One", "RUNNING")], {"progress": 50}))
    assert (row(db, operation_id).progress, steps_of(db, operation_id)) == (0, {})


def test_a_claim_that_its_host_refuses_is_given_back(db: Database) -> None:
    operation_id = put_operation(db)
    db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.id == operation_id).values(host="busy", waiting_for="broker")))
    asked: list[str | None] = []

    def refuse(host: str | None) -> bool:
        asked.append(host)
        return False

    assert lease.claim(db, operation_id, "one", 30, refuse) is None
    found = row(db, operation_id)
    assert asked == ["busy"]
    assert (found.state, found.owner, found.lease_until, found.host, found.waiting_for) == (
        states.PENDING, None, None, "busy", "broker")
    again = lease.claim(db, operation_id, "two", 30)
    assert again is not None and again.crashes == 0


def test_the_end_frees_what_was_held_and_forgets_secrets(db: Database) -> None:
    operation_id = put_operation(db)
    held = claim(db, operation_id)
    db.write(lambda session: lease.finish(session, held, state=states.SUCCEEDED, message=None))
    found = row(db, operation_id)
    assert (found.state, found.progress, found.owner, found.lease_until) == (states.SUCCEEDED, 100, None, None)
    assert found.arguments == {"kept": 1}
    with db.reading() as session:
        assert session.get(Lock, operation_id) is None


def test_a_lock_that_is_taken_postpones_the_claim(db: Database) -> None:
    first = put_operation(db)
    second = ids.new_id()
    db.write(lambda session: session.add(Operation(
        id=second, kind="server.delete", resource_type="server", resource_id=first, request_id="req-2",
        waits_for_lock=True)))
    assert lease.claim(db, second, "one", 30) is None
    held = claim(db, first)
    db.write(lambda session: lease.finish(session, held, state=states.SUCCEEDED, message=None))
    db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.id == second).values(not_before=row(db, first).not_before)))
    assert lease.claim(db, second, "one", 30) is not None
