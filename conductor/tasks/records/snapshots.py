"""How a snapshot's record leaves its back end."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.db.models import Snapshot, Volume
from hostler.resources.volume import backend_claims, moves
from hostler.resources.volume import states as volume_states


def mark_deleted(session: orm.Session, snapshot_ids: Collection[str]) -> None:
    """Mark snapshots as deleted; their back ends have room again."""
    moves.SNAPSHOT.move_all(session, volume_states.DELETED, {"deleted_at": clock.utcnow()},
                            where=[Snapshot.id.in_(snapshot_ids), Snapshot.deleted_at.is_(None)])
    backend_claims.touch(session, session.scalars(
        sa.select(Volume.backend_id).join(Snapshot, Snapshot.volume_id == Volume.id).where(
            Snapshot.id.in_(snapshot_ids))))
