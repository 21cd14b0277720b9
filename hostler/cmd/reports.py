"""Waits for the report of an operation that a command accepted: commands reach the database alone."""

from __future__ import annotations

import time
from typing import Any

from hostler import errors
from hostler.db.engine import Database
from hostler.db.models import Operation
from hostler.operations import doctor, notes, states

_LOOK_EVERY_S = 0.2


def wait(database: Database, operation_id: str, timeout_s: float) -> dict[str, Any]:
    """Return a conductor's report; raises Unavailable when there is none in time, Conflict when it failed."""
    end = time.monotonic() + timeout_s
    while True:
        with database.reading() as session:
            operation = session.get_one(Operation, operation_id)
            state, message = operation.state, operation.message
            report = notes.value(session, operation_id, notes.REPORT)
        if state == states.SUCCEEDED:
            return {"operation": operation_id, **report}
        if state == states.FAILED:
            raise errors.Conflict(reason=f"the examination failed: {message}")
        if time.monotonic() > end:
            said = ("no conductor took it up; does one run?" if doctor.withdraw(database, operation_id)
                    else f"operation {operation_id} goes on")
            raise errors.Unavailable(f"no report within {timeout_s:g} s: {said}", part="conductor")
        time.sleep(_LOOK_EVERY_S)
