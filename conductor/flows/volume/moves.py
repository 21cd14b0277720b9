"""volume.retype and volume.migrate: a volume that nobody uses moves to other storage, where its type asks for it.

1. ChooseTarget       the scheduler says whether it must move, and claims where to (revert: release)
2. ClearTarget        the target forgets what an earlier move left (nothing to undo)
3. ConnectSource      the source lets the target's node read (revert: end that)
4. CopyVolume         the target makes the volume from it (revert: it removes the copy)
5. SwitchRecord       the copy is the volume now, with its new type (nothing to undo: the copy is whole)
6. DisconnectSource   the source ends the connection (nothing to undo)
7. RemoveSource       the source removes what was the volume (nothing to undo: what is left is noted)

Steps 2 to 7 do nothing for a volume that stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Cancelled, Run
from conductor.tasks.node.moves import ClearTarget, ConnectSource, CopyVolume, DisconnectSource, RemoveSource
from conductor.tasks.records.moves import SwitchRecord, end_move
from conductor.tasks.scheduler.moves import ChooseTarget
from hostler.db.models import Volume
from hostler.operations.kinds import volume as kinds
from hostler.operations.kinds.kind import Kind


def procedure(kind: Kind[Any], succeeded: Callable[[orm.Session, Run, Mapping[str, Any]], None]) -> Procedure:
    """Return how a retype or a migration is carried out."""

    def build() -> linear_flow.Flow:
        return linear_flow.Flow(kind.name).add(
            ChooseTarget(), ClearTarget(), ConnectSource(), CopyVolume(), SwitchRecord(),
            DisconnectSource(), RemoveSource())

    return Procedure(kind, build, succeeded, _failed)


def _retyped(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The volume has its new type, and claims one place again."""
    arguments = run.arguments_of(kinds.RETYPE)
    session.execute(sa.update(Volume).where(Volume.id == run.resource_id).values(
        fault=None, volume_type_id=arguments.volume_type_id, multiattach=arguments.multiattach))
    end_move(session, run)


def _migrated(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The volume claims one place again."""
    session.execute(sa.update(Volume).where(Volume.id == run.resource_id).values(
        fault=None, migration_status="success"))
    end_move(session, run)


def _failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The volume is as it was, or moved already, and says what went wrong."""
    if failure.code != Cancelled.code:
        ended = {"migration_status": "error"} if run.held.kind == kinds.MIGRATE.name else {}
        session.execute(sa.update(Volume).where(Volume.id == run.resource_id).values(
            fault=fault_of(failure), **ended))
    end_move(session, run)


RETYPE = procedure(kinds.RETYPE, _retyped)
MIGRATE = procedure(kinds.MIGRATE, _migrated)
