"""network.trace_packet: follows a packet from a port, for an operator who asks where it is dropped.

1. TracePacket   reads the records, asks the hosts of both ends what they have (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.trace import TracePacket
from hostler.operations import notes
from hostler.operations.kinds import network as kinds


def build() -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("network.trace_packet").add(TracePacket())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The report is noted for the command that asked."""
    notes.write(session, run.held.id, notes.REPORT, value=results["report"])


def failed(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the operation keeps the cause."""


PROCEDURE = Procedure(kinds.TRACE_PACKET, build, succeeded, failed)
