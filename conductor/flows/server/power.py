"""server.start, stop, reboot, pause, unpause, suspend, resume: one call to the host.

1. <Verb>Server   the agent brings the guest into that state (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.servers import ChangePower
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import Kind
from hostler.resources.server import states
from hostler.resources.server.moves import move


def procedure(kind: Kind[Any]) -> Procedure:
    """Return how one verb is carried out."""

    def build() -> linear_flow.Flow:
        return linear_flow.Flow(kind.name).add(ChangePower(kind.name.removeprefix("server.")))

    def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
        move(session, run.resource_id, str(kind.ends_in), {"power_state": results["guest"]["power_state"],
                                                           "fault": None})

    def failed(session: orm.Session, run: Run, failure: Failure) -> None:
        # A host that could not be asked leaves the guest as it was; a host that tried and failed may not.
        move(session, run.resource_id, states.ERROR if failure.code == "AgentError" else None,
             {"fault": fault_of(failure)})

    return Procedure(kind, build, succeeded, failed)


PROCEDURES = tuple(procedure(kind) for kind in (kinds.START, kinds.STOP, kinds.REBOOT, kinds.PAUSE, kinds.UNPAUSE,
                                                kinds.SUSPEND, kinds.RESUME))
