"""server.attach_iso: an ISO image goes into the server's CD-ROM drive.

1. InsertIso   the agent puts it into the drive and the kept spec (revert: it takes it out)

server.detach_iso: the drive is emptied.

1. EjectIso   the agent takes the ISO out (nothing to undo: a guest that keeps the tray locked still has it)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm

from conductor.procedure import in_order
from conductor.run import Run
from conductor.tasks.host.isos import EjectIso, InsertIso
from hostler.operations.kinds import server as kinds
from hostler.resources.server.moves import move


def _attached(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    move(session, run.resource_id, None, {"iso_image_id": run.arguments_of(kinds.ATTACH_ISO).image_id})


def _detached(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    move(session, run.resource_id, None, {"iso_image_id": None})


# After a failure the drive holds what it held.
ATTACH = in_order(kinds.ATTACH_ISO, [InsertIso], _attached)
DETACH = in_order(kinds.DETACH_ISO, [EjectIso], _detached)
