"""snapshot.create and snapshot.delete: one call to the node of the snapshot's volume.

1. CreateSnapshot   the node keeps the present content (revert: it removes the snapshot)
1. DeleteSnapshot   the node removes it (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.flows.ends import fails_as
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.node.snapshots import CreateSnapshot, DeleteSnapshot
from conductor.tasks.records import snapshots
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states


def _created(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    moves.SNAPSHOT.move(session, run.resource_id, volume_states.READY, {
        "provider": results["made"]["provider"], "fault": None})


def _deleted(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    snapshots.mark_deleted(session, [run.resource_id])


CREATE = in_order(kinds.CREATE_SNAPSHOT, [CreateSnapshot], _created, fails_as(moves.SNAPSHOT, volume_states.ERROR))
DELETE = in_order(kinds.DELETE_SNAPSHOT, [DeleteSnapshot], _deleted,
                   fails_as(moves.SNAPSHOT, volume_states.ERROR_DELETING))
