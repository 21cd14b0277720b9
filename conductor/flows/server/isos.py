"""server.attach_iso: an ISO image goes into the server's CD-ROM drive.

1. InsertIso   the agent puts it into the drive and the kept spec (revert: it takes it out)

server.detach_iso: the drive is emptied.

1. EjectIso   the agent takes the ISO out (nothing to undo: a guest that keeps the tray locked still has it)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.isos import EjectIso, InsertIso
from hostler.operations.kinds import server as kinds
from hostler.resources.server.moves import move


def _build_attach() -> linear_flow.Flow:
    return linear_flow.Flow("server.attach_iso").add(InsertIso())


def _build_detach() -> linear_flow.Flow:
    return linear_flow.Flow("server.detach_iso").add(EjectIso())


def _attached(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    move(session, run.resource_id, None, {"iso_image_id": run.arguments_of(kinds.ATTACH_ISO).image_id})


def _detached(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    move(session, run.resource_id, None, {"iso_image_id": None})


def _failed(_session: orm.Session, _run: Run, _failure: Failure) -> None:
    """Nothing to write: the drive holds what it held, and the operation keeps the cause."""


ATTACH = Procedure(kinds.ATTACH_ISO, _build_attach, _attached, _failed)
DETACH = Procedure(kinds.DETACH_ISO, _build_detach, _detached, _failed)
