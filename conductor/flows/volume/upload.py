"""volume.upload: a volume's content becomes an image.

1. UploadVolume   the node converts and sends it to the image store (nothing to undo)
"""

from __future__ import annotations

from sqlalchemy import orm

from conductor.faults import Failure
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.node.volumes import UploadVolume
from hostler.db.models import Image
from hostler.images import statuses
from hostler.images.moves import IMAGE
from hostler.operations.kinds import volume as kinds


def failed(session: orm.Session, run: Run, _failure: Failure) -> None:
    """The image never gets its content; the operation keeps the cause."""
    IMAGE.move_all(session, statuses.KILLED, {"claimed_bytes": None},
                   where=[Image.id == run.arguments_of(kinds.UPLOAD).image_id])


# The image store finished the image when it had all of it; the volume is as it was.
PROCEDURE = in_order(kinds.UPLOAD, [UploadVolume], failed=failed)
