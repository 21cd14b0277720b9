"""Which volumes come and go with a server."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.run import Run
from hostler.db.models import Snapshot, Volume, VolumeAttachment
from hostler.resources.volume import states as volume_states


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
