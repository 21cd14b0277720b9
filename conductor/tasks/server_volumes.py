"""Tasks on the volumes that live and die with a server: made for it, deleted with it."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, orm

from conductor.run import HandOver, Run
from conductor.tasks.base import OperationTask
from hostler import errors
from hostler.db.models import Backup, Lock, Snapshot, Volume, VolumeAttachment, VolumeType
from hostler.resources import backend_claims, volume_records, volume_states

LOG = logging.getLogger(__name__)
# Between two looks whether volumes are free.
_LOOK_AGAIN_S = 0.5


class PlaceVolumes(OperationTask):
    """Have the scheduler claim a back end for each new volume of the server, for all or for none.

    Revert: remove the volumes there and release the claims.
    """

    def execute(self) -> None:
        """Claim; a volume that is on a back end stays there."""
        with self.run.reading() as session:
            requests = [_request(session, volume) for volume in new_volumes(session, self.run)]
        if requests:
            self.run.ask_for_backends(requests)

    def revert(self, **_: Any) -> None:
        """Remove and release."""
        with self.run.reading() as session:
            volume_ids = [volume.id for volume in new_volumes(session, self.run) if volume.backend_id is not None]
        for volume_id in volume_ids:
            try:
                remove(self.run, volume_id)
            except (errors.AgentError, errors.HostUnreachable) as error:
                LOG.warning("volume %s of failed server %s is left to its node's reconciliation: %s", volume_id,
                            self.run.resource_id, error)
        self.run.db.write(lambda session: release(session, volume_ids))


class FillVolumes(OperationTask):
    """Have the back ends make the new volumes. Revert: nothing to undo, PlaceVolumes removes them.

    They outlive a failed host: the next one finds them made.
    """

    def execute(self) -> None:
        """Make each; what is whole is left as it is."""
        with self.run.reading() as session:
            volume_ids = [volume.id for volume in new_volumes(session, self.run)]
        for volume_id in volume_ids:
            try:
                self._fill(volume_id)
            except errors.AgentError as error:
                raise errors.VolumeFailed(id=volume_id, reason=str(error)) from error

    def _fill(self, volume_id: str) -> None:
        run = self.run
        with run.reading() as session:
            place = volume_records.place_of_volume(session, volume_id)
            volume = volume_records.volume_spec(session, volume_id)
            source = volume_records.source_spec(session, run.conf, run.cloud.images, volume_id,
                                                run.arguments["sources"].get(volume_id))
        if place is None:
            raise errors.Conflict(reason=f"Volume {volume_id} is on no back end.")
        answer = run.ask_node(place.node, lambda fence: run.cloud.volumes.create_volume(
            run.context, place.node, volume, source, **fence))
        run.db.write(lambda session: session.execute(
            sa.update(Volume).where(Volume.id == volume_id).values(provider=answer["provider"])))


class LockVolumes(OperationTask):
    """Take the locks of a dying server's volumes, so that nobody else works on them. Revert: nothing to undo, the
    operation's end frees them."""

    def execute(self) -> None:
        """Take all or none; what is in somebody's hands, or is being copied, is waited for."""
        try:
            busy = self.run.db.write(self._take)
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
            self.run.db.lock_row(session, Volume, Volume.id == row.volume_id)
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
            except errors.HostUnreachable:
                # As a server is deleted while its host is silent: the node removes it when it returns.
                deleted.append(volume_id)
            except errors.AgentError as error:
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
        place = volume_records.place_of_volume(session, volume_id)
        if place is None:
            return
        volume = volume_records.volume_spec(session, volume_id)
    run.ask_node(place.node, lambda fence: run.cloud.volumes.delete_volume(run.context, place.node, volume, **fence))


def release(session: orm.Session, volume_ids: list[str]) -> None:
    """Give back what volumes claim of their back ends."""
    rows = session.scalars(sa.select(Volume.backend_id).where(Volume.id.in_(volume_ids))).all()
    session.execute(sa.update(Volume).where(Volume.id.in_(volume_ids)).values(backend_id=None, provider={}))
    backend_claims.touch(session, rows)


def _request(session: orm.Session, volume: Volume) -> dict[str, Any]:
    kind = session.get(VolumeType, volume.volume_type_id) if volume.volume_type_id else None
    source = _source_backend(session, volume)
    return {"volume_id": volume.id, "zone": volume.zone, "multiattach": volume.multiattach, "backend_id": source,
            "extra_specs": dict(kind.extra_specs or {}) if kind is not None else {},
            "hints": dict(volume.scheduler_hints or {})}


def _source_backend(session: orm.Session, volume: Volume) -> str | None:
    """Return where a new volume must be because its source is there."""
    source_id = volume.source_volume_id
    if volume.snapshot_id is not None:
        source_id = session.scalar(sa.select(Snapshot.volume_id).where(Snapshot.id == volume.snapshot_id))
    if source_id is None:
        return None
    return session.scalar(sa.select(Volume.backend_id).where(Volume.id == source_id))
