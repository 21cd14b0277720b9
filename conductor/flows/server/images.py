"""server.create_image and server.create_backup: a server's root disk becomes an image.

1. UploadServer   the host copies the disk and sends it to the image store (revert: it removes the copy)

Of a server that boots from a volume, the image has no content but names a snapshot of each of the server's volumes:

1. SnapshotVolumes   the nodes keep the volumes' present content (revert: they remove all the snapshots)

The image is written when the operation is accepted, and deleted when the operation fails. A backup's end deletes the
oldest of the server's backups of its kind, in the transaction that ends the operation: the server is locked until
then, so no two rotations see each other's images half made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Cancelled, Run
from conductor.tasks.host.snapshots import UploadServer
from conductor.tasks.node.snapshots import SnapshotVolumes
from conductor.tasks.records import images, snapshots
from hostler.db.models import Image, Snapshot
from hostler.images import statuses
from hostler.operations.kinds import server as kinds
from hostler.resources.server.moves import move
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states


def build(kind: str, of_volumes: bool) -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow(kind).add(SnapshotVolumes() if of_volumes else UploadServer())


def _shape(run: Run) -> tuple[str, bool]:
    return run.kind.name, bool(run.arguments_of(kinds.CREATE_IMAGE).snapshot_ids)


def _image_made(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The snapshots and their image are there; one with content was finished by the image store."""
    arguments = run.arguments_of(kinds.CREATE_IMAGE)
    if arguments.snapshot_ids:
        moves.SNAPSHOT.move_all(session, volume_states.READY, {"fault": None},
                                where=[Snapshot.id.in_(arguments.snapshot_ids)])
        images.finish_empty(session, arguments.image_id)


def _backup_made(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """Of the server's backups of this kind, the newest stay."""
    wanted = run.arguments_of(kinds.CREATE_BACKUP)
    made = session.get_one(Image, wanted.image_id)
    kept = session.scalars(
        sa.select(Image.id).where(
            Image.project_id == made.project_id, Image.status == statuses.ACTIVE, Image.deleted_at.is_(None),
            Image.properties["image_type"].as_string() == "backup",
            Image.properties["backup_type"].as_string() == wanted.backup_type,
            Image.properties["instance_uuid"].as_string() == run.resource_id)
        .order_by(Image.created_at.desc(), Image.id)).all()
    images.remove_unprotected(session, kept[wanted.rotation:])


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """Image and snapshots are gone; the server is as it was, and records the cause."""
    arguments = run.arguments_of(kinds.CREATE_IMAGE)
    images.remove(session, [arguments.image_id])
    snapshots.mark_deleted(session, arguments.snapshot_ids)
    if failure.code != Cancelled.code:
        move(session, run.resource_id, None, {"fault": fault_of(failure)})


CREATE_IMAGE = Procedure(kinds.CREATE_IMAGE, build, _image_made, failed, shape=_shape)
CREATE_BACKUP = Procedure(kinds.CREATE_BACKUP, build, _backup_made, failed, shape=_shape)
