"""server.start, stop, reboot, pause, unpause, suspend, resume: one call to the host.

1. <Verb>Server   the agent brings the guest into that state (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.flows.server.create import fault_of
from conductor.kinds import Failure, Kind
from conductor.run import Run
from conductor.tasks.servers import ChangePower
from hostler.db.models import Server
from hostler.resources.server import states

# The state a server is in once the verb succeeded.
RESULT = {"start": states.ACTIVE, "stop": states.STOPPED, "reboot": states.ACTIVE, "pause": states.PAUSED,
          "unpause": states.ACTIVE, "suspend": states.SUSPENDED, "resume": states.ACTIVE}


def kind(verb: str) -> Kind:
    """Return the operation kind of one verb."""

    def build(run: Run) -> linear_flow.Flow:
        return linear_flow.Flow(f"server.{verb}").add(ChangePower(run, verb))

    def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
        session.execute(sa.update(Server).where(Server.id == run.resource_id).values(
            vm_state=RESULT[verb], power_state=results["guest"]["power_state"], fault=None))

    def failed(session: orm.Session, run: Run, failure: Failure) -> None:
        # A host that could not be asked leaves the guest as it was; a host that tried and failed may not.
        values: dict[str, Any] = {"fault": fault_of(failure)}
        if failure.code == "AgentError":
            values["vm_state"] = states.ERROR
        session.execute(sa.update(Server).where(Server.id == run.resource_id).values(**values))

    return Kind(build, succeeded, failed)
