"""attachment.connect and attachment.delete: a client outside of our servers reaches a volume.

1. ConnectAttachment      the node lets the connector in (revert: it does not)
1. DisconnectAttachment   the node ends that (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.node.connections import ConnectAttachment, DisconnectAttachment
from hostler.db.models import VolumeAttachment
from hostler.operations.kinds import volume as kinds


def _build_connect() -> linear_flow.Flow:
    return linear_flow.Flow("attachment.connect").add(ConnectAttachment())


def _connected(_session: orm.Session, _run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing to write: the task kept the connection; its client says when it is complete."""


def _not_connected(session: orm.Session, run: Run, _failure: Failure) -> None:
    """The attachment stays reserved, without a connection."""
    session.execute(sa.update(VolumeAttachment).where(VolumeAttachment.id == _attachment_id(run))
                    .values(connection={}))


def _build_delete() -> linear_flow.Flow:
    return linear_flow.Flow("attachment.delete").add(DisconnectAttachment())


def _deleted(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    session.execute(sa.delete(VolumeAttachment).where(VolumeAttachment.id == _attachment_id(run)))


def _not_deleted(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the attachment stays to be deleted again; the operation keeps the cause."""


def _attachment_id(run: Run) -> str:
    return run.arguments_of(kinds.CONNECT_ATTACHMENT).attachment_id


CONNECT = Procedure(kinds.CONNECT_ATTACHMENT, _build_connect, _connected, _not_connected)
DELETE = Procedure(kinds.DELETE_ATTACHMENT, _build_delete, _deleted, _not_deleted)
