"""attachment.connect and attachment.delete: somebody outside of servers reaches a volume, and no longer.

1. ConnectAttachment      the node lets the connector in (revert: it does not)
1. DisconnectAttachment   the node ends that (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.kinds import Failure, Kind
from conductor.run import Run
from conductor.tasks.volume_connections import ConnectAttachment, DisconnectAttachment
from hostler.db.models import VolumeAttachment


def _build_connect(run: Run) -> linear_flow.Flow:
    return linear_flow.Flow("attachment.connect").add(ConnectAttachment(run))


def _connected(_session: orm.Session, _run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing to write: the task kept the connection; who asked for it says when it is complete."""


def _not_connected(session: orm.Session, run: Run, _failure: Failure) -> None:
    """The attachment stays reserved, without a connection."""
    session.execute(sa.update(VolumeAttachment).where(VolumeAttachment.id == run.arguments["attachment_id"])
                    .values(connection={}))


def _build_delete(run: Run) -> linear_flow.Flow:
    return linear_flow.Flow("attachment.delete").add(DisconnectAttachment(run))


def _deleted(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    session.execute(sa.delete(VolumeAttachment).where(VolumeAttachment.id == run.arguments["attachment_id"]))


def _not_deleted(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the attachment stays to be deleted again; the operation keeps the cause."""


CONNECT = Kind(_build_connect, _connected, _not_connected)
DELETE = Kind(_build_delete, _deleted, _not_deleted)
