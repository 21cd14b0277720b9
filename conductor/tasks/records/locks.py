"""The task that takes the locks of a server's volumes: it is deleted, or moves."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import exc, orm

from conductor.run import HandOver
from conductor.tasks.base import OperationTask
from hostler.db.models import Backup, Lock, Volume, VolumeAttachment
from hostler.resources.volume import states as volume_states

# How long to wait before checking again whether volumes are free.
_LOOK_AGAIN_S = 0.5


class LockVolumes(OperationTask):
    """Take the locks of a server's volumes, so that nobody else works on them. Revert: nothing to undo, the
    operation's end frees them."""

    def execute(self) -> None:
        """Take all or none; what another operation holds, or is being copied, is waited for."""
        try:
            busy = self.run.write(self._take)
        except exc.IntegrityError:
            busy = "a volume of the server"  # taken just now
        if busy:
            raise HandOver(reason=f"{busy} is busy", delay_s=_LOOK_AGAIN_S, host=self.run.host,
                           waiting_for=busy[:255])

    def _take(self, session: orm.Session) -> str | None:
        rows = session.execute(
            sa.select(VolumeAttachment.volume_id, VolumeAttachment.delete_on_termination)
            .where(VolumeAttachment.server_id == self.run.resource_id).order_by(VolumeAttachment.volume_id)).all()
        for row in rows:
            self.run.lock_row(session, Volume, Volume.id == row.volume_id)
        volume_ids = [row.volume_id for row in rows]
        held = {row.resource_id: row.operation_id for row in session.execute(
            sa.select(Lock.resource_id, Lock.operation_id).where(Lock.resource_id.in_(volume_ids)))}
        others = [volume_id for volume_id, operation_id in held.items() if operation_id != self.run.held.id]
        if others:
            return f"volume {others[0]}"
        doomed = [row.volume_id for row in rows if row.delete_on_termination]
        copied = being_copied(session, doomed)
        if copied:
            return f"volume {copied[0]}"
        session.add_all([Lock(resource_id=volume_id, resource_type="volume", operation_id=self.run.held.id,
                              kind=self.run.held.kind) for volume_id in volume_ids if volume_id not in held])
        return None


def being_copied(session: orm.Session, volume_ids: list[str]) -> list[str]:
    """Return which volumes something is being made from right now."""
    copies = session.scalars(sa.select(Volume.source_volume_id).where(
        Volume.source_volume_id.in_(volume_ids), Volume.state == volume_states.CREATING, Volume.deleted_at.is_(None)))
    backups = session.scalars(sa.select(Backup.volume_id).where(
        Backup.volume_id.in_(volume_ids), Backup.state == volume_states.CREATING, Backup.deleted_at.is_(None)))
    return [volume_id for volume_id in (*copies, *backups) if volume_id is not None]
