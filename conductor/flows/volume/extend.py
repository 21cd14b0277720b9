"""volume.extend: the volume grows, attached or not.

1. ExtendOnNode    the node grows it, unless it is a file that an attached server's host grows (nothing to undo)
2. ExtendOnHosts   the hosts of its servers show the new size to the guests (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.procedure import in_order
from conductor.run import Cancelled, Run
from conductor.tasks.host.volumes import ExtendOnHosts
from conductor.tasks.node.volumes import ExtendOnNode
from hostler.db.models import Server, Volume, VolumeAttachment
from hostler.operations import journal
from hostler.operations.kinds import server as server_kinds
from hostler.operations.kinds import volume as kinds
from hostler.resources.volume import backend_claims, moves
from hostler.resources.volume import states as volume_states

# An agent tried, or may have: nobody knows how large the volume is.
_TRIED = frozenset({"AgentError", "Internal", "Unavailable"})


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The volume has the size that was claimed; its servers' action lists say so."""
    values: dict[str, Any] = {"size_gib": Volume.claimed_gib, "fault": None}
    provider = (results.get("extended") or {}).get("provider")
    if provider is not None:
        values["provider"] = provider
    moves.VOLUME.move(session, run.resource_id, volume_states.READY, values)
    for server in session.scalars(sa.select(Server).join(
            VolumeAttachment, VolumeAttachment.server_id == Server.id).where(
                VolumeAttachment.volume_id == run.resource_id)):
        journal.note(session, run.context, server_kinds.EXTEND_VOLUME, server)


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The claim goes back to the old size; in error only when an agent tried and failed."""
    values: dict[str, Any] = {"claimed_gib": Volume.size_gib}
    if failure.code != Cancelled.code:
        values["fault"] = fault_of(failure)
    moves.VOLUME.move(session, run.resource_id, volume_states.ERROR_EXTENDING if failure.code in _TRIED else None,
                      values)
    backend_claims.touch(session, session.scalars(sa.select(Volume.backend_id).where(Volume.id == run.resource_id)))


PROCEDURE = in_order(kinds.EXTEND, [ExtendOnNode, ExtendOnHosts], succeeded, failed)
