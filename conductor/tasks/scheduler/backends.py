"""Tasks that find a volume its back end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.tasks.base import OperationTask, failed
from conductor.tasks.records.volumes import release_backend
from hostler import errors
from hostler.db.models import Backup, Snapshot, Volume, VolumeType
from hostler.operations import notes
from scheduler.rpcapi import BackendRequest


class SelectBackend(OperationTask):
    """Have the scheduler choose and claim a back end. Revert: release the claim and do not try that one again."""

    default_provides = "choice"
    weight = 0

    def execute(self, source: str | None) -> dict[str, Any]:
        """Return {"backend_id", "node", "backend", "zone"}."""
        with self.run.reading() as session:
            request = backend_request(session, self.run.resource_id, source,
                                      excluded=notes.keys(session, self.run.held.id, notes.EXCLUDED))
            earlier = notes.value(session, self.run.held.id, notes.FAILURE)
        try:
            return self.run.ask_for_backend(request).to_wire()
        except errors.NoValidBackend as error:
            raise _with_earlier_failure(error, earlier) from error

    def revert(self, result: Any, **_: Any) -> None:
        """Release the claim."""
        backend_id = None if failed(result) or not result else result["backend_id"]

        def work(session: orm.Session) -> None:
            release_backend(session, self.run.resource_id)
            if backend_id is not None:
                notes.write(session, self.run.held.id, notes.EXCLUDED, key=backend_id)

        self.run.write(work)


def backend_request(session: orm.Session, volume_id: str, source: str | None, *,
                    excluded: Sequence[str] = ()) -> BackendRequest:
    """Return what to ask the scheduler for a new volume.

    `source` is image, snapshot, volume, backup or None, as in `hostler.resources.volume.records.source_spec`.
    """
    volume = session.get(Volume, volume_id)
    if volume is None:
        raise errors.NotFound(resource="Volume", id=volume_id)
    store = None
    if source == "backup":
        store = session.scalar(sa.select(Backup.store).where(Backup.id == volume.backup_id))
    return BackendRequest(
        volume_id=volume_id, zone=volume.zone, multiattach=volume.multiattach,
        extra_specs=extra_specs_of(session, volume.volume_type_id), excluded_backends=tuple(excluded),
        hints=dict(volume.scheduler_hints or {}),
        backend_id=_source_backend(session, volume, source) if source in ("snapshot", "volume") else None,
        backup_store=store)


def _source_backend(session: orm.Session, volume: Volume, source: str) -> str:
    query = sa.select(Volume.backend_id).where(Volume.id == volume.source_volume_id)
    if source == "snapshot":
        query = sa.select(Volume.backend_id).join(Snapshot, Snapshot.volume_id == Volume.id).where(
            Snapshot.id == volume.snapshot_id)
    backend_id = session.scalar(query)
    if backend_id is None:
        raise errors.Conflict(reason=f"The {source} that volume {volume.id} is made from is on no back end.")
    return backend_id


def extra_specs_of(session: orm.Session, volume_type_id: str | None) -> dict[str, Any]:
    """Return the extra specs of a volume type; of none, nothing."""
    if volume_type_id is None:
        return {}
    return dict(session.scalar(sa.select(VolumeType.extra_specs).where(VolumeType.id == volume_type_id)) or {})


def _with_earlier_failure(error: errors.NoValidBackend, earlier: str | None) -> errors.NoValidBackend:
    """Name the failure that made this another try, which tells the user more than the lack of further back ends."""
    if not earlier:
        return error
    return errors.NoValidBackend(f"{earlier} (No other back end could take the volume: {error})", **error.fields)
