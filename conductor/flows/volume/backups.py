"""backup.create, backup.delete and backup.restore.

create   1. AssignStore     the record says which store and node (nothing to undo)
         2. CreateBackup    the volume's node copies it there (revert: it removes the copy)
delete   1. DeleteBackup    a node of the store removes it (nothing to undo)
restore  1. RestoreBackup   the volume's node gives it the content (nothing to undo, the old content is gone)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.flows.ends import fails_as
from conductor.procedure import in_order
from conductor.run import Cancelled, Run
from conductor.tasks.node.backups import CreateBackup, DeleteBackup, RestoreBackup
from conductor.tasks.records.backups import AssignStore
from hostler import clock
from hostler.db.models import Backup, Volume
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states
from hostler.resources.volume.volume_record import VolumeRecord

# The node was asked and failed or fell silent: nobody knows what the volume holds.
_TOUCHED = frozenset({"AgentError", "Internal", "NodeUnreachable", "Unavailable"})


def _created(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    made = results["made"]
    moves.BACKUP.move(session, run.resource_id, volume_states.READY, {
        "stored_bytes": made["stored_bytes"], "object_count": made["object_count"], "fault": None})


def _deleted(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    moves.BACKUP.move(session, run.resource_id, volume_states.DELETED, {"deleted_at": clock.utcnow()})


def _restored(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The volume has the content and what belongs to it: metadata, image metadata, bootable, a name if it has none."""
    moves.VOLUME.move(session, _volume_id(run), volume_states.READY, {
        "provider": results["restored"]["provider"], "fault": None})
    volume = session.get_one(Volume, _volume_id(run))
    backup = session.get_one(Backup, run.resource_id)
    record = VolumeRecord.kept(backup, None)
    volume.extra = dict(record.metadata) or volume.extra
    volume.image_metadata = dict(record.image_metadata) or volume.image_metadata
    volume.bootable = volume.bootable or record.bootable or bool(record.image_metadata)
    if record.name and (not volume.name or volume.name.startswith("restore_backup_")):
        volume.name, volume.description = record.name, record.description


def _not_restored(session: orm.Session, run: Run, failure: Failure) -> None:
    if failure.code != Cancelled.code:
        moves.VOLUME.move(session, _volume_id(run), volume_states.ERROR_RESTORING if failure.code in _TOUCHED else None,
                          {"fault": fault_of(failure)})


def _volume_id(run: Run) -> str:
    return run.arguments_of(kinds.RESTORE_BACKUP).volume_id


# A backup that failed keeps its store in its record, so that a deletion looks there once more.
CREATE = in_order(kinds.CREATE_BACKUP, [AssignStore, CreateBackup], _created,
                  fails_as(moves.BACKUP, volume_states.ERROR))
DELETE = in_order(kinds.DELETE_BACKUP, [DeleteBackup], _deleted, fails_as(moves.BACKUP, volume_states.ERROR_DELETING))
RESTORE = in_order(kinds.RESTORE_BACKUP, [RestoreBackup], _restored, _not_restored)
