"""Every kind has a procedure; what a conductor cannot read it leaves or ends."""

from __future__ import annotations

import sqlalchemy as sa

from conductor.flows.registry import PROCEDURES
from conductor.run import HandOver
from hostler.db.models import Operation
from hostler.operations import states
from hostler.operations.kinds.registry import KINDS
from tests.harness.conductor_rig import Rig


def test_every_kind_has_a_procedure() -> None:
    assert PROCEDURES.keys() == KINDS.keys()
    assert all(procedure.kind is KINDS[name] for name, procedure in PROCEDURES.items())


def _write(rig: Rig, operation_id: str, **values: object) -> None:
    rig.db.write(lambda session: session.execute(
        sa.update(Operation).where(Operation.id == operation_id).values(**values)))


def test_arguments_that_are_not_the_kinds_end_the_operation_with_the_reason(rig: Rig) -> None:
    _, operation_id = rig.accept("server.create")
    _write(rig, operation_id, arguments={"volumse": True})
    assert rig.run(operation_id) is None
    operation = rig.one(Operation, operation_id)
    assert operation.state == states.FAILED and "unknown volumse" in operation.message
    rig.assert_at_rest()


def test_arguments_of_a_newer_release_are_left_to_its_conductors(rig: Rig) -> None:
    _, operation_id = rig.accept("server.create")
    _write(rig, operation_id, arguments_version=99)
    assert isinstance(rig.run(operation_id), HandOver)
    assert rig.one(Operation, operation_id).state == states.PENDING
