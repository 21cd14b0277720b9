"""volume.revert: a volume takes its snapshot's content again.

1. RevertVolume   the node gives it the content (nothing to undo, the old content is gone)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.flows.ends import fails_as
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.node.volumes import RevertVolume
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The volume is whole, with the old content."""
    moves.VOLUME.move(session, run.resource_id, volume_states.READY, {
        "provider": results["reverted"]["provider"], "fault": None})


# In error, since nobody knows what the volume holds then.
PROCEDURE = in_order(kinds.REVERT, [RevertVolume], succeeded, fails_as(moves.VOLUME, volume_states.ERROR))
