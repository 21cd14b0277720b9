"""server.rebuild: a server's disks are made again from an image; it keeps its id, host, addresses and volumes.

1. RebuildServer   the agent removes guest and disks, and builds both again (nothing to undo)

What the server is to be (image, metadata, keys, …) is written when the operation is accepted, so a rebuild that fails
leaves a server in error that the next rebuild, or a hard reboot, makes whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.flows.ends import fails_as
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.rebuild import RebuildServer
from hostler import clock
from hostler.operations.kinds import server as kinds
from hostler.resources.server import states
from hostler.resources.server.moves import SERVER, move


def build() -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("server.rebuild").add(RebuildServer())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server runs, or is off as it was before."""
    stopped = run.arguments_of(kinds.REBUILD).stopped
    move(session, run.resource_id, states.STOPPED if stopped else states.ACTIVE, {
        "power_state": results["guest"]["power_state"], "launched_at": clock.utcnow(), "fault": None})


PROCEDURE = Procedure(kinds.REBUILD, build, succeeded, fails_as(SERVER, states.ERROR))
