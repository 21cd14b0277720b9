"""volume.create: find a back end, claim it, make the volume there; when it fails there, try another.

1. SelectBackend   the scheduler chooses and claims (revert: release, and exclude that back end)
2. CreateVolume    the node makes it, empty or from its source (revert: it removes all of it)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.retries import AnotherPlace
from conductor.run import Cancelled, Run
from conductor.tasks.node.volumes import CreateVolume
from conductor.tasks.records.volumes import release_backend
from conductor.tasks.scheduler.backends import SelectBackend
from hostler import clock
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states

CREATE_ATTEMPTS = 3


def build() -> linear_flow.Flow:
    """Return the flow."""
    flow = linear_flow.Flow("volume.create", retry=AnotherPlace(CREATE_ATTEMPTS, name="AnotherBackend"))
    return flow.add(SelectBackend(), CreateVolume())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The volume is there, in the zone of its back end."""
    moves.VOLUME.move(session, run.resource_id, volume_states.READY, {
        "provider": results["made"]["provider"], "zone": results["choice"]["zone"], "launched_at": clock.utcnow(),
        "fault": None})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The volume is in error with its cause, on no back end; after a cancellation it just waits for its deletion."""
    release_backend(session, run.resource_id)
    if failure.code != Cancelled.code:
        moves.VOLUME.move(session, run.resource_id, volume_states.ERROR, {"fault": fault_of(failure)})


PROCEDURE = Procedure(kinds.CREATE, build, succeeded, failed)
