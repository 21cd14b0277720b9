"""server.change_password, crash_dump, reset_network and inject_network_info: one call to the host.

1. ChangePassword, InjectNmi or ResetNetwork   the agent does it (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.base import OperationTask
from conductor.tasks.host.guests import ChangePassword, InjectNmi, ResetNetwork
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import Kind


def procedure(kind: Kind[Any], task: type[OperationTask]) -> Procedure:
    """Return how one of them is carried out."""

    def build() -> linear_flow.Flow:
        return linear_flow.Flow(kind.name).add(task())

    return Procedure(kind, build, _succeeded, _failed)


def _succeeded(_session: orm.Session, _run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing to write: no record changed."""


def _failed(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the server is as it was, and the operation keeps the cause."""


PROCEDURES = (procedure(kinds.CHANGE_PASSWORD, ChangePassword), procedure(kinds.CRASH_DUMP, InjectNmi),
              procedure(kinds.RESET_NETWORK, ResetNetwork), procedure(kinds.INJECT_NETWORK_INFO, ResetNetwork))
