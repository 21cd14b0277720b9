"""server.update: the guest's metadata service shows the server's new name and metadata; nothing waits for it.

1. TellGuest   the agent takes over the new spec (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.servers import TellGuest
from hostler.operations.kinds import server as kinds


def build() -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("server.update").add(TellGuest())


def succeeded(_session: orm.Session, _run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing to write: the record changed when the operation was accepted."""


def failed(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the operation keeps the cause, reconciliation brings the spec to the host."""


PROCEDURE = Procedure(kinds.UPDATE, build, succeeded, failed)
