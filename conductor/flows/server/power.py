"""server.start, stop, reboot, pause, unpause, suspend, resume: one call to the host.

1. <Verb>Server   the agent brings the guest into that state (nothing to undo)

A hard reboot of a server that is in error because it could not return from a move begins with:

0. BringBack      the host puts back what it set aside (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.moves import BringBack
from conductor.tasks.host.servers import ChangePower
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import Kind
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move


def procedure(kind: Kind[Any]) -> Procedure:
    """Return how one verb is carried out."""

    def build(stranded: bool = False) -> linear_flow.Flow:
        return linear_flow.Flow(kind.name).add(*([BringBack()] if stranded else ()),
                                               ChangePower(kind.name.removeprefix("server.")))

    def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
        move(session, run.resource_id, str(kind.ends_in), {"power_state": results["guest"]["power_state"],
                                                           "fault": None})

    def failed(session: orm.Session, run: Run, failure: Failure) -> None:
        # A host that could not be asked leaves the guest as it was; a host that tried and failed may not.
        move(session, run.resource_id, states.ERROR if failure.code == "AgentError" else None,
             {"fault": fault_of(failure)})

    return Procedure(kind, build, succeeded, failed, _shape_of_reboot) if kind is kinds.REBOOT else Procedure(
        kind, build, succeeded, failed)


def _shape_of_reboot(run: Run) -> tuple[bool]:
    if not run.arguments_of(kinds.REBOOT).hard:
        return (False,)
    with run.reading() as session:
        return (migrations.failed_return(session, run.resource_id) is not None,)


PROCEDURES = tuple(procedure(kind) for kind in (kinds.START, kinds.STOP, kinds.REBOOT, kinds.PAUSE, kinds.UNPAUSE,
                                                kinds.SUSPEND, kinds.RESUME))
