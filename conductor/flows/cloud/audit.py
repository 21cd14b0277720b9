"""cloud.audit: the doctor looks for what is wrong, and repairs it when told to.

1. ExamineCloud   asks every agent what is there and compares (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.audit import ExamineCloud
from hostler.operations import notes
from hostler.operations.kinds import cloud as kinds


def build() -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("cloud.audit").add(ExamineCloud())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The report is noted for the command that asked."""
    notes.write(session, run.held.id, notes.REPORT, value=results["report"])


def failed(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the operation keeps the cause."""


PROCEDURE = Procedure(kinds.AUDIT, build, succeeded, failed)
