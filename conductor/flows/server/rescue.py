"""server.rescue: the server runs from a small disk made from an image, with its own root disk beside it.

1. RescueServer   the agent keeps the guest's definition and starts the rescue disk (revert: it puts the guest back)

server.unrescue: back to the server's own disk.

1. UnrescueServer   the agent puts the guest back and starts it (nothing to undo: asked again, it goes on)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.host.rescue import RescueServer, UnrescueServer
from hostler.operations.kinds import server as kinds
from hostler.resources.server import states
from hostler.resources.server.moves import move


def _rescued(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    move(session, run.resource_id, states.RESCUED, {
        "power_state": results["guest"]["power_state"], "fault": None,
        "rescue_image_id": run.arguments_of(kinds.RESCUE).image_id})


def _unrescued(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    move(session, run.resource_id, states.ACTIVE, {
        "power_state": results["guest"]["power_state"], "fault": None, "rescue_image_id": None})


def _failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server stays as it was, or as the revert left it, and records the cause."""
    move(session, run.resource_id, None, {"fault": fault_of(failure)})


RESCUE = in_order(kinds.RESCUE, [RescueServer], _rescued, _failed)
UNRESCUE = in_order(kinds.UNRESCUE, [UnrescueServer], _unrescued, _failed)
