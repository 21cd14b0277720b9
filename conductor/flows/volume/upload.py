"""volume.upload: a volume's content becomes an image.

1. UploadVolume   the node converts and sends it to the image store (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.node.volumes import UploadVolume
from hostler.db.models import Image
from hostler.images import statuses
from hostler.images.moves import IMAGE
from hostler.operations.kinds import volume as kinds


def build() -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("volume.upload").add(UploadVolume())


def succeeded(_session: orm.Session, _run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing to write: the image store finished the image when it had all of it; the volume is as it was."""


def failed(session: orm.Session, run: Run, _failure: Failure) -> None:
    """The image never gets its content; the operation keeps the cause."""
    IMAGE.move_all(session, statuses.KILLED, {"claimed_bytes": None},
                   where=[Image.id == run.arguments_of(kinds.UPLOAD).image_id])


PROCEDURE = Procedure(kinds.UPLOAD, build, succeeded, failed)
