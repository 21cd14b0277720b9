"""server.revert_resize: back to the host and the flavor that the server came from, as it was then.

1. RemoveFromTarget   the target removes guest and files (nothing to undo: the source has them)
2. SwitchToSource     the records name the source and the old flavor (nothing to undo)
3. RestoreServer      the source puts back what it set aside, starts what ran before (nothing to undo)

With volumes, between 2 and 3:

2a. MoveConnections   the volumes' nodes let the source in (revert: the same)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.moves import RemoveFromTarget, RestoreServer
from conductor.tasks.node.server_moves import MoveConnections
from conductor.tasks.records.migrations import SwitchToSource, migration_in
from conductor.tasks.records.server_volumes import has_volumes
from hostler import clock
from hostler.db.models import Server
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move


def build(with_volumes: bool) -> linear_flow.Flow:
    """Return the flow."""
    follow = [MoveConnections(back=True)] if with_volumes else []
    return linear_flow.Flow("server.revert_resize").add(
        RemoveFromTarget(), SwitchToSource(), *follow, RestoreServer())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server is what it was, with its old claim alone."""
    migration = migration_in(session, run)
    migrations.take_claim_back(session, migration)
    migrations.move(session, migration.id, migrations.REVERTED)
    ports.set_ports_host(session, run.resource_id, migration.source_host_id, "ACTIVE")
    move(session, run.resource_id, migration.old_vm_state, {
        "power_state": results["guest"]["power_state"], "launched_at": clock.utcnow(), "fault": None})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """Until it has left its target it can still be confirmed or reverted; after that it is in error."""
    migration = migration_in(session, run)
    server = session.get_one(Server, run.resource_id)
    switched = (server.host_id == migration.source_host_id
                and migrations.flavor_of(server) == migration.old_flavor)
    # A host that could not be asked leaves the guest as it was; a host that tried and failed may not.
    untouched = not switched and failure.code != "AgentError"
    migrations.move(session, migration.id, migrations.FINISHED if untouched else migrations.ERROR)
    if switched:
        migrations.take_claim_back(session, migration)
    elif not untouched:
        migrations.release_claim(session, migration.id)
    move(session, run.resource_id, None if untouched else states.ERROR, {"fault": fault_of(failure)})


PROCEDURE = Procedure(kinds.REVERT_RESIZE, build, succeeded, failed, shape=lambda run: (has_volumes(run),))
