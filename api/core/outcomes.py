"""Waiting for operations that clients expect to have ended when their request is answered."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa

from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Operation
from hostler.operations import states

_LOOK_EVERY_S: Final = 0.1


def follow(services: Services, context: RequestContext, operation_id: str, wait_s: float, *,
           sleep: Callable[[float], None] = time.sleep) -> None:
    """Wake a conductor for an operation and wait till it ends, or for `wait_s`; raises Conflict when it failed."""
    services.waker.wake(context, operation_id)
    end = time.monotonic() + wait_s
    while True:
        with services.db.reading() as session:
            row = session.execute(sa.select(Operation.state, Operation.message).where(
                Operation.id == operation_id)).one()
        if row.state == states.FAILED:
            raise errors.Conflict(reason=row.message or "The operation failed.")
        if row.state in states.FINISHED or time.monotonic() >= end:
            return
        sleep(_LOOK_EVERY_S)
