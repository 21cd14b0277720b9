"""The task that finds where a volume moves to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.tasks.base import OperationTask
from conductor.tasks.records.moves import end_move
from conductor.tasks.scheduler.backends import extra_specs_of
from hostler import errors
from hostler.db.models import Snapshot, Volume, VolumeAttachment
from scheduler.rpcapi import BackendRequest

NEVER = "never"


class ChooseTarget(OperationTask):
    """Have the scheduler say whether the volume must move, and claim where to. Revert: release that claim."""

    default_provides = "choice"
    weight = 0

    def execute(self, backend_id: str | None = None, volume_type_id: str | None = None,
                migration_policy: str | None = None, multiattach: bool | None = None) -> dict[str, Any]:
        """Return the target as {"backend_id", "node", "backend", "zone"} with "source_id"; "stays" when it is where
        the volume is.

        A migration names the back end (or None), a retype the rest.
        """
        with self.run.reading() as session:
            volume = _movable(session, self.run.resource_id)
            stays = migration_policy == NEVER
            request = _request(session, volume, backend_id=volume.backend_id if stays else backend_id,
                               volume_type_id=volume_type_id, multiattach=multiattach)
            source_id = session.scalar(sa.select(Volume.backend_id).where(Volume.id == self.run.resource_id))
        choice = self.run.ask_for_backend(request).to_wire()
        stays = choice["backend_id"] == source_id
        if not stays:
            with self.run.reading() as session:
                _check_movable(session, self.run.resource_id)
        return {**choice, "source_id": source_id, "stays": stays}

    def revert(self, **_: Any) -> None:
        """Release."""
        self.run.write(lambda session: end_move(session, self.run))


def _movable(session: orm.Session, volume_id: str) -> Volume:
    volume = session.get_one(Volume, volume_id)
    if volume.backend_id is None:
        raise errors.Conflict(reason=f"Volume {volume.id} is on no back end.")
    return volume


def _request(session: orm.Session, volume: Volume, *, backend_id: str | None, volume_type_id: str | None,
             multiattach: bool | None) -> BackendRequest:
    return BackendRequest(
        volume_id=volume.id, extra_specs=extra_specs_of(session, volume_type_id or volume.volume_type_id),
        backend_id=backend_id, moving=True, may_stay=volume_type_id is not None,
        multiattach=volume.multiattach if multiattach is None else multiattach,
        zone=volume.zone if backend_id is None else None)  # an administrator may name a back end of another zone


def _check_movable(session: orm.Session, volume_id: str) -> None:
    if session.scalar(sa.select(VolumeAttachment.id).where(VolumeAttachment.volume_id == volume_id).limit(1)):
        raise errors.Conflict(reason=f"Volume {volume_id} is attached and cannot move to another back end.")
    if session.scalar(sa.select(Snapshot.id).where(Snapshot.volume_id == volume_id,
                                                   Snapshot.deleted_at.is_(None)).limit(1)):
        raise errors.Conflict(reason=f"Volume {volume_id} has snapshots and cannot move to another back end.")
