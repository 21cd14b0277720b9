"""attachment.connect and attachment.delete: a client outside of our servers reaches a volume.

1. ConnectAttachment      the node lets the connector in (revert: it does not)
1. DisconnectAttachment   the node ends that (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.faults import Failure
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.node.connections import ConnectAttachment, DisconnectAttachment
from hostler.db.models import VolumeAttachment
from hostler.operations.kinds import volume as kinds


def _not_connected(session: orm.Session, run: Run, _failure: Failure) -> None:
    """The attachment stays reserved, without a connection."""
    session.execute(sa.update(VolumeAttachment).where(VolumeAttachment.id == _attachment_id(run))
                    .values(connection={}))


def _deleted(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    session.execute(sa.delete(VolumeAttachment).where(VolumeAttachment.id == _attachment_id(run)))


def _attachment_id(run: Run) -> str:
    return run.arguments_of(kinds.CONNECT_ATTACHMENT).attachment_id


# The task keeps the connection, and its client says when it is complete.
CONNECT = in_order(kinds.CONNECT_ATTACHMENT, [ConnectAttachment], failed=_not_connected)
# An attachment that could not be deleted stays, to be deleted again.
DELETE = in_order(kinds.DELETE_ATTACHMENT, [DisconnectAttachment], _deleted)
