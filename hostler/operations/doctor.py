"""The doctor's operation, and how a command that reaches only the database accepts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Lock, Operation
from hostler.operations import states
from hostler.operations.accept import Accepted, Target, accept
from hostler.operations.kinds import cloud

# One at a time: the second one finds this locked.
CLOUD: Final = Target("cloud", "00000000-0000-4000-8000-000000000d0c")


def accept_audit(session: orm.Session, context: RequestContext, *, checks: Sequence[str] = (), repair: bool = False,
                 delete_unknown: bool = False) -> Accepted:
    """Write the operation; raises ResourceLocked while another doctor runs.

    When it ends it notes the report (`notes.REPORT`, as `conductor.audit.examine` returns it).
    """
    return accept(session, context, cloud.AUDIT, CLOUD, cloud.Audit(
        checks=tuple(checks), repair=repair, delete_unknown=delete_unknown))


def withdraw(db: Database, operation_id: str) -> bool:
    """End an operation that no conductor has claimed and that no one waits for any more; False when one works on it."""
    def work(session: orm.Session) -> bool:
        db.lock_row(session, Operation, Operation.id == operation_id)
        operation = session.get_one(Operation, operation_id)
        if operation.state != states.PENDING:
            return False
        operation.state, operation.finished_at = states.FAILED, clock.utcnow()
        operation.message = "Withdrawn: no conductor took it up in time."
        session.execute(sa.delete(Lock).where(Lock.operation_id == operation_id))
        return True

    return db.write(work)
