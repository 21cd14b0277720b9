"""volume.delete: the node removes the volume, its snapshots first when the deletion cascades; then the records go.

1. DeleteSnapshots   only with `cascade` (nothing to undo)
2. DeleteVolume      the node removes volume and exports (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.flows.ends import fails_as
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.node.snapshots import DeleteSnapshots
from conductor.tasks.node.volumes import DeleteVolume
from hostler import clock
from hostler.db.models import Snapshot, Volume, VolumeAttachment, VolumeTransfer
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import backend_claims, moves
from hostler.resources.volume import states as volume_states


def build(cascade: bool) -> linear_flow.Flow:
    """Return the flow."""
    flow = linear_flow.Flow("volume.delete")
    if cascade:
        flow.add(DeleteSnapshots())
    return flow.add(DeleteVolume())


def succeeded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """Only the record stays, for lists of deleted volumes."""
    volume_id, now = run.resource_id, clock.utcnow()
    backends = session.execute(sa.select(Volume.backend_id, Volume.target_backend_id).where(
        Volume.id == volume_id)).one_or_none()
    moves.VOLUME.move(session, volume_id, volume_states.DELETED, {
        "deleted_at": now, "backend_id": None, "target_backend_id": None, "provider": {}})
    if run.arguments_of(kinds.DELETE).cascade:
        moves.SNAPSHOT.move_all(session, volume_states.DELETED, {"deleted_at": now},
                                where=[Snapshot.volume_id == volume_id, Snapshot.deleted_at.is_(None)])
    for model in (VolumeTransfer, VolumeAttachment):
        session.execute(sa.delete(model).where(model.volume_id == volume_id))
    backend_claims.touch(session, backends or ())


# After a failure data and record stay, and the volume may be deleted again.
PROCEDURE = Procedure(kinds.DELETE, build, succeeded, fails_as(moves.VOLUME, volume_states.ERROR_DELETING),
                      shape=lambda run: (run.arguments_of(kinds.DELETE).cascade,))
