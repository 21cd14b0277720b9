"""server.create_image and server.create_backup: a server's root disk becomes an image.

1. UploadServer   the host copies the disk and sends it to the image store (revert: it removes the copy)

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
from conductor.tasks.records import images
from hostler.db.models import Image
from hostler.images import statuses
from hostler.operations.kinds import server as kinds
from hostler.resources.server.moves import move


def build(kind: str) -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow(kind).add(UploadServer())


def _image_made(_session: orm.Session, _run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing to write: the image store finished the image; the server is as it was."""


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
    images.remove(session, kept[wanted.rotation:])


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The image is gone; the server is as it was, and records the cause."""
    images.remove(session, [run.store["image_id"]])
    if failure.code != Cancelled.code:
        move(session, run.resource_id, None, {"fault": fault_of(failure)})


CREATE_IMAGE = Procedure(kinds.CREATE_IMAGE, build, _image_made, failed, shape=lambda run: (run.kind.name,))
CREATE_BACKUP = Procedure(kinds.CREATE_BACKUP, build, _backup_made, failed, shape=lambda run: (run.kind.name,))
