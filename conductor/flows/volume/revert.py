"""volume.revert: a volume takes its snapshot's content again.

1. RevertVolume   the node gives it the content (nothing to undo, the old content is gone)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Cancelled, Run
from conductor.tasks.node.volumes import RevertVolume
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states


def build(run: Run) -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("volume.revert").add(RevertVolume(run))


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The volume is whole, with the old content."""
    moves.VOLUME.move(session, run.resource_id, volume_states.READY, {
        "provider": results["reverted"]["provider"], "fault": None})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """Nobody knows what the volume holds now."""
    if failure.code != Cancelled.code:
        moves.VOLUME.move(session, run.resource_id, volume_states.ERROR, {"fault": fault_of(failure)})


PROCEDURE = Procedure(kinds.REVERT, build, succeeded, failed)
