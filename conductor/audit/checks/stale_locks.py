"""Locks whose operation has ended or is gone: they keep everybody from a resource for ever.

An operation under way whose conductor died is none: the others take it over when its lease ends.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import Lock, Operation
from hostler.operations import states
from hostler.operations.accept import Target


class StaleLocks:
    """Frees them."""

    name = "locks"
    about = "locks whose operation has ended"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare locks with operations."""
        rows = session.execute(
            sa.select(Lock.resource_type, Lock.resource_id, Lock.operation_id, Lock.kind, Operation.state)
            .outerjoin(Operation, Operation.id == Lock.operation_id)
            .where(Lock.operation_id != inventory.own_operation, Lock.operation_id.not_in(_living())))
        return [Finding(self.name, Target(row.resource_type, row.resource_id),
                        f"is locked by operation {row.operation_id} ({row.kind}), which "
                        f"{'has ' + row.state if row.state else 'is gone'}", "remove the lock",
                        details={"of": row.operation_id}) for row in rows]

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Remove the lock, if its operation still does not live."""
        repairs.write(lambda session: session.execute(sa.delete(Lock).where(
            Lock.resource_id == finding.target.id, Lock.operation_id == finding.details["of"],
            Lock.operation_id.not_in(_living()))))
        return "removed the lock"


def _living() -> sa.Select[tuple[str]]:
    return sa.select(Operation.id).where(Operation.state.in_(states.UNFINISHED))
