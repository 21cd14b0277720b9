"""Backups: update, restore, status, and what they share with snapshots. `backup_create` makes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.outcomes import in_turn
from api.core.volume import rows as volume_rows
from api.core.volume.backup_rows import BACKUP, ROWS
from api.core.volume.copies import Copies
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Backend, Backup, Volume, VolumeNode
from hostler.operations.accept import Target, accept, check_unlocked
from hostler.operations.agents import volume_agent
from hostler.operations.kinds import volume as kinds
from hostler.resources import quota
from hostler.resources.volume import moves, states

_SETTABLE: Final = (states.READY, states.ERROR)


@dataclasses.dataclass(frozen=True)
class Restored:
    """Where a backup's content goes."""

    volume_id: str
    volume_name: str


def update(services: Services, context: RequestContext, backup_id: str, values: Mapping[str, Any]) -> None:
    """Set a backup's name, description or metadata (`extra`); raises QuotaExceeded for too many items."""

    def work(session: orm.Session) -> None:
        row = BACKUPS.to_change(services, session, context, backup_id, "backup:update")
        quota.check_items(session, services.conf, row.project_id, "metadata_items", len(values.get("extra", ())),
                          len(row.extra))
        for key, value in values.items():
            setattr(row, key, value)

    services.db.write(work)


def _check_no_heirs(session: orm.Session, row: Backup) -> None:
    if session.scalar(sa.select(Backup.id).where(Backup.parent_id == row.id,
                                                 Backup.deleted_at.is_(None)).limit(1)) is not None:
        raise errors.Invalid(reason="Invalid backup: Incremental backups exist for this backup.")
    volume_rows.check_no_heir(session, row, Volume.backup_id == row.id)


def _agent_of(_session: orm.Session, row: Backup) -> str | None:
    return None if row.node is None else volume_agent(row.node)


BACKUPS: Final = Copies[Backup](
    resource=BACKUP, rows=ROWS, moves=moves.BACKUP, deletion=kinds.DELETE_BACKUP, get="backup:get",
    get_all="backup:get_all", delete_action="backup:delete", admin="volume_extension:backup_admin_actions:",
    check_heirs=_check_no_heirs, agent_of=_agent_of)


def restore_to(services: Services, context: RequestContext, backup_id: str, volume_id: str) -> Restored:
    """Accept restoring a backup to an existing volume; the volume's present content is lost.

    Raises NotFound, WrongStatus, ResourceLocked, Invalid for a volume that is too small or cannot reach the store.
    """

    def work(session: orm.Session) -> tuple[str, Restored]:
        row = BACKUPS.to_change(services, session, context, backup_id, "backup:restore")
        check_restorable(session, row)
        volume = volume_rows.to_change(services, session, context, volume_id, "volume:update")
        volume_rows.check_status(session, volume, *kinds.RESTORE_BACKUP.starts_in)
        volume_rows.check_no_source(session, volume.id)
        if volume.size_gib < row.size_gib:
            raise errors.Invalid(reason=f"Invalid volume: volume size {volume.size_gib} is too small to restore backup "
                                        f"of size {row.size_gib}.")
        node = _node_of(session, volume)
        if node is None or node.backup_store != row.store:
            raise errors.Invalid(reason=f"Invalid volume: the storage node of volume {volume.id} does not reach the "
                                        f"store that holds backup {row.id}.")
        operation = accept(session, context, kinds.RESTORE_BACKUP, Target("backup", row.id),
                           kinds.RestoreBackup(volume_id=volume.id), also_lock=[Target("volume", volume.id)],
                           project_id=row.project_id, agent=volume_agent(node.name))
        return operation.id, Restored(volume.id, volume.name)

    operation_id, restored = in_turn(services, work)
    services.waker.wake(context, operation_id)
    return restored


def check_restorable(session: orm.Session, row: Backup) -> None:
    """Raise ResourceLocked or WrongStatus for a backup that is not whole and at rest."""
    check_unlocked(session, [Target("backup", row.id)])
    if row.state != states.READY:
        raise errors.WrongStatus(resource="backup", id=row.id, allowed=states.READY, status=row.state)


def _node_of(session: orm.Session, volume: Volume) -> VolumeNode | None:
    return session.scalars(sa.select(VolumeNode).join(Backend, Backend.node_id == VolumeNode.id)
                           .where(Backend.id == volume.backend_id)).one_or_none()


def reset_status(services: Services, context: RequestContext, backup_id: str, status: str) -> None:
    """Set the stored state, for administrators; raises Invalid, and ResourceLocked while an operation holds it."""

    def check(row: Backup) -> None:
        if status not in _SETTABLE:
            raise errors.Invalid(reason=f"Backup status: {status[:80]} is invalid, valid statuses are: "
                                        f"{', '.join(_SETTABLE)}.")
        if status == states.READY and row.store is None:
            raise errors.Invalid(reason=f"Backup {row.id} is in no store; it cannot become {states.READY}.")

    BACKUPS.reset_status(services, context, backup_id, status, check)
