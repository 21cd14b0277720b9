"""server.attach_volume: the volume's node lets the host in, the host gives the volume to the guest.

1. ConnectVolume   the node exports (or names) the volume for the host (revert: no longer)
2. PlugVolume      the agent plugs it into the guest and its definition (revert: it takes it out)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.host.volumes import PlugVolume
from conductor.tasks.node.attachments import ConnectVolume
from hostler import clock
from hostler.db.models import VolumeAttachment
from hostler.operations.kinds import server as kinds
from hostler.resources.server.moves import move
from hostler.resources.volume import moves as volume_moves
from hostler.resources.volume import states as volume_states


def succeeded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The server has the volume."""
    volume_moves.ATTACHMENT.move(session, _attachment_id(run), volume_states.ATTACHED, {"attached_at": clock.utcnow()})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The reservation is gone; the server records the cause."""
    session.execute(sa.delete(VolumeAttachment).where(VolumeAttachment.id == _attachment_id(run)))
    move(session, run.resource_id, None, {"fault": fault_of(failure)})


def _attachment_id(run: Run) -> str:
    return run.arguments_of(kinds.ATTACH_VOLUME).attachment_id


PROCEDURE = in_order(kinds.ATTACH_VOLUME, [ConnectVolume, PlugVolume], succeeded, failed)
