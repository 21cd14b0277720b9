"""server.detach_volume: the guest lets go of the volume, then its node no longer lets the host in.

1. UnplugVolume       the agent takes it from the guest, within the guest's time (revert: it gives it back)
2. DisconnectVolume   the node ends the export (revert: it makes it again, the volume stays attached)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.host.volumes import UnplugVolume
from conductor.tasks.node.attachments import DisconnectVolume
from hostler.db.models import VolumeAttachment
from hostler.operations.kinds import server as kinds
from hostler.resources.server.moves import move


def succeeded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The volume is detached."""
    session.execute(sa.delete(VolumeAttachment).where(VolumeAttachment.id == _attachment_id(run)))


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server keeps the volume, and records the cause."""
    move(session, run.resource_id, None, {"fault": fault_of(failure)})


def _attachment_id(run: Run) -> str:
    return run.arguments_of(kinds.DETACH_VOLUME).attachment_id


PROCEDURE = in_order(kinds.DETACH_VOLUME, [UnplugVolume, DisconnectVolume], succeeded, failed)
