"""Ends that several flows share: what is written about the resource when its operation is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.run import Cancelled, Run
from hostler.operations import notes
from hostler.resources.transitions import Transitions


def fails_as(noun: Transitions, state: str) -> Callable[[orm.Session, Run, Failure], None]:
    """Return the end of a failure that leaves the resource in `state`, with the cause.

    A cancelled operation writes nothing: the deletion that asked for it comes next.
    """

    def failed(session: orm.Session, run: Run, failure: Failure) -> None:
        if failure.code != Cancelled.code:
            noun.move(session, run.resource_id, state, {"fault": fault_of(failure)})

    return failed


def reports(result: str) -> Callable[[orm.Session, Run, Mapping[str, Any]], None]:
    """Return the end that notes a task's `result` for the command that asked."""

    def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
        notes.write(session, run.held.id, notes.REPORT, value=results[result])

    return succeeded
