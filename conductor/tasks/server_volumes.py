"""Tasks on the volumes that live and die with a server: made for it, deleted with it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, orm

from conductor.run import HandOver, Run
from conductor.tasks.base import OperationTask
from conductor.tasks.volume_nodes import delete_at, tried
from conductor.tasks.volume_placement import backend_request, release_backend
from conductor.tasks.volumes import create_volume
from hostler import errors
from hostler.db.models import Backup, Lock, Snapshot, Volume, VolumeAttachment
from hostler.resources.volume import records as volume_records
from hostler.resources.volume import states as volume_states

# Between two looks whether volumes are free.
_LOOK_AGAIN_S = 0.5


class PlaceVolumes(OperationTask):
    """Have the scheduler claim a back end for each new volume of the server, for all or for none.

    Revert: remove the volumes there and release the claims.
    """

    def execute(self, sources: Mapping[str, str | None]) -> None:
        """Claim; a volume that is on a back end stays there."""
        with self.run.reading() as session:
            requests = [backend_request(session, volume.id, sources.get(volume.id))
                        for volume in new_volumes(session, self.run)]
        if requests:
            self.run.ask_for_backends(requests)

    def revert(self, **_: Any) -> None:
        """Remove and release."""
        with self.run.reading() as session:
            volume_ids = [volume.id for volume in new_volumes(session, self.run) if volume.backend_id is not None]
        for volume_id in volume_ids:
            # It is marked as deleted at the end: what is left of it, its node is told to remove when it reconciles.
            tried(f"volume {volume_id} of failed server {self.run.resource_id} may be left on its back end",
                  functools.partial(remove, self.run, volume_id))
            self.run.write(functools.partial(release_backend, volume_id=volume_id))


class FillVolumes(OperationTask):
    """Have the back ends make the new volumes. Revert: nothing to undo, PlaceVolumes removes them.

    They outlive a failed host: the next one finds them made.
    """

    def execute(self, sources: Mapping[str, str | None]) -> None:
        """Make each; what is whole is left as it is."""
        with self.run.reading() as session:
            volume_ids = [volume.id for volume in new_volumes(session, self.run)]
        for volume_id in volume_ids:
            try:
                self._fill(volume_id, sources.get(volume_id))
            except errors.AgentError as error:
                raise errors.VolumeFailed(id=volume_id, reason=str(error)) from error

    def _fill(self, volume_id: str, source: str | None) -> None:
        with self.run.reading() as session:
            place = volume_records.place_of_volume(session, volume_id)
        if place is None:
            raise errors.Conflict(reason=f"Volume {volume_id} is on no back end.")
        answer = create_volume(self.run, volume_id, place.node, source)
        self.run.write(lambda session: session.execute(
            sa.update(Volume).where(Volume.id == volume_id).values(provider=answer["provider"])))


class LockVolumes(OperationTask):
    """Take the locks of a dying server's volumes, so that nobody else works on them. Revert: nothing to undo, the
    operation's end frees them."""

    def execute(self) -> None:
        """Take all or none; what is in somebody's hands, or is being copied, is waited for."""
        try:
            busy = self.run.write(self._take)
        except exc.IntegrityError:
            busy = "a volume of the server"  # taken in this very moment
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


class DeleteVolumes(OperationTask):
    """Have the back ends remove the volumes that go with their server. Revert: nothing to undo, what is gone is gone.

    A volume that something else needs (a snapshot, another server) stays, as does one that its back end cannot remove.
    """

    default_provides = "volumes"

    def execute(self) -> dict[str, Any]:
        """Return {"deleted": [ids], "failed": {id: why}}."""
        with self.run.reading() as session:
            volume_ids = doomed_volumes(session, self.run)
        deleted: list[str] = []
        left: dict[str, str] = {}
        for volume_id in volume_ids:
            try:
                remove(self.run, volume_id)
                deleted.append(volume_id)
            except (errors.AgentError, errors.Unavailable) as error:
                left[volume_id] = str(error)
        return {"deleted": deleted, "failed": left}


def has_volumes(run: Run) -> bool:
    """Return whether the run's server has attachments; while it is locked by the run, none come and none go."""
    with run.reading() as session:
        return session.scalar(sa.select(VolumeAttachment.id).where(
            VolumeAttachment.server_id == run.resource_id).limit(1)) is not None


def new_volumes(session: orm.Session, run: Run) -> list[Volume]:
    """Return the volumes that were accepted together with the run's server, in a fixed order."""
    return list(session.scalars(
        sa.select(Volume).join(VolumeAttachment, VolumeAttachment.volume_id == Volume.id)
        .where(VolumeAttachment.server_id == run.resource_id, Volume.state == volume_states.CREATING,
               Volume.deleted_at.is_(None)).order_by(Volume.id)))


def doomed_volumes(session: orm.Session, run: Run) -> list[str]:
    """Return the volumes to be deleted with the run's server."""
    other = orm.aliased(VolumeAttachment)
    return list(session.scalars(
        sa.select(VolumeAttachment.volume_id).join(Volume, Volume.id == VolumeAttachment.volume_id).where(
            VolumeAttachment.server_id == run.resource_id, VolumeAttachment.delete_on_termination,
            Volume.deleted_at.is_(None),
            ~sa.exists().where(other.volume_id == Volume.id, other.id != VolumeAttachment.id),
            ~sa.exists().where(Snapshot.volume_id == Volume.id, Snapshot.deleted_at.is_(None)))
        .order_by(VolumeAttachment.volume_id)))


def being_copied(session: orm.Session, volume_ids: list[str]) -> list[str]:
    """Return which volumes something is being made from right now."""
    copies = session.scalars(sa.select(Volume.source_volume_id).where(
        Volume.source_volume_id.in_(volume_ids), Volume.state == volume_states.CREATING, Volume.deleted_at.is_(None)))
    backups = session.scalars(sa.select(Backup.volume_id).where(
        Backup.volume_id.in_(volume_ids), Backup.state == volume_states.CREATING, Backup.deleted_at.is_(None)))
    return [volume_id for volume_id in (*copies, *backups) if volume_id is not None]


def remove(run: Run, volume_id: str) -> None:
    """Have a volume's back end remove it with its exports; fine when it is on none."""
    with run.reading() as session:
        backend_id = session.scalar(sa.select(Volume.backend_id).where(Volume.id == volume_id))
    if backend_id is not None:
        delete_at(run, volume_id, backend_id)
