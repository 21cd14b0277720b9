"""host.drain: the servers of a host that is out of service are moved elsewhere.

1. MoveServersAway   accepts a migration for each, a few at a time, and waits for them (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.records.drain import MoveServersAway
from hostler.operations import notes
from hostler.operations.kinds import cloud as kinds


def build() -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("host.drain").add(MoveServersAway())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """What stays, and why, is noted for who asked."""
    notes.write(session, run.held.id, notes.REPORT, value=results["stays"])


def failed(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the operation keeps the cause, and what was moved stays where it is."""


PROCEDURE = Procedure(kinds.DRAIN, build, succeeded, failed)
