"""server.soft_delete: the server is switched off and goes into the trash, with its disks, volumes and addresses.

1. SwitchOff   the agent shuts the guest down, if it is on a host (revert: it starts it, if it ran)

server.restore: it comes back in the state it had; its memory is lost.

1. SwitchOn    the agent starts the guest, if it ran (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.faults import Failure, fault_of
from conductor.procedure import in_order
from conductor.run import Cancelled, Run
from conductor.tasks.host.parking import SwitchOff, SwitchOn
from hostler.db.models import Server
from hostler.db.moments import now
from hostler.operations.kinds import server as kinds
from hostler.resources.server import states
from hostler.resources.server.moves import move


def _soft_deleted(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    before = session.get_one(Server, run.resource_id).vm_state
    move(session, run.resource_id, states.SOFT_DELETED, {
        "power_state": results["guest"]["power_state"], "fault": None, "rescue_image_id": None, "parked_at": now(),
        "parked_from": states.restored_as(before)})


def _not_soft_deleted(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server stays as it was and records the cause; after a cancellation it only waits for its deletion."""
    if failure.code != Cancelled.code:
        move(session, run.resource_id, None, {"fault": fault_of(failure)})


def _restored(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    state = session.get_one(Server, run.resource_id).parked_from or states.STOPPED
    move(session, run.resource_id, state, {
        "power_state": results["guest"]["power_state"], "fault": None, "parked_at": None, "parked_from": None})


def _not_restored(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server stays in the trash, where its period begins again, and records the cause."""
    cancelled = failure.code == Cancelled.code
    move(session, run.resource_id, None, {"parked_at": now(), **({} if cancelled else {"fault": fault_of(failure)})})


SOFT_DELETE = in_order(kinds.SOFT_DELETE, [SwitchOff], _soft_deleted, _not_soft_deleted)
RESTORE = in_order(kinds.RESTORE, [SwitchOn], _restored, _not_restored)
