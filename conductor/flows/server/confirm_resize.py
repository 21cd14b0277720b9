"""server.confirm_resize: the server stays where it is, what its source set aside is removed.

1. DiscardServer   the source removes what it set aside (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.moves import DiscardServer
from conductor.tasks.records.migrations import migration_in
from hostler.db.models import Server
from hostler.operations.kinds import server as kinds
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move


def build() -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("server.confirm_resize").add(DiscardServer())


def succeeded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """The claim on the source is released; the server is active, or stopped when its guest is off."""
    migration = migration_in(session, run)
    migrations.release_claim(session, migration.id)
    migrations.move(session, migration.id, migrations.CONFIRMED)
    off = session.get_one(Server, run.resource_id).power_state == "shutdown"
    move(session, run.resource_id, states.STOPPED if off else states.ACTIVE, {"fault": None})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """It can still be confirmed or reverted."""
    migrations.move(session, migration_in(session, run).id, migrations.FINISHED)
    move(session, run.resource_id, None, {"fault": fault_of(failure)})


PROCEDURE = Procedure(kinds.CONFIRM_RESIZE, build, succeeded, failed)
