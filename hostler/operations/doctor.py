"""The doctor's operation: how it is accepted, by a command that reaches the database alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.models import Operation
from hostler.operations.accept import Target, accept

KIND: Final = "cloud.audit"
# One at a time: the second one finds this locked.
CLOUD: Final = Target("cloud", "00000000-0000-4000-8000-000000000d0c")


def accept_audit(session: orm.Session, context: RequestContext, *, checks: Sequence[str] = (), repair: bool = False,
                 delete_unknown: bool = False) -> Operation:
    """Write the operation; raises ResourceLocked when a doctor is at work already.

    Its end adds "findings", "total" and "unseen" to its arguments (`conductor.audit.examine`).
    """
    return accept(session, context, kind=KIND, resource=CLOUD, arguments={
        "checks": list(checks), "repair": repair, "delete_unknown": delete_unknown})
