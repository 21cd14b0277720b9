"""server.resize, server.migrate: to another flavor, or another host, and there (off, or running) until it is confirmed.

1. ClaimTarget      the scheduler chooses and claims a target beside the claim on the source (revert: as before)
2. SetServerAside   the source switches the server off and offers its files (revert: it puts it back and starts it)
3. SwitchToTarget   the records name the target and the new flavor (revert: the source and the old one)
4. TakeServerIn     the target fetches and grows the disks, starts the server (revert: it removes all of it)

With volumes and another host, between 3 and 4:

3a. MoveConnections   the volumes' nodes let the target in (revert: the source)

What the source set aside, both claims and the larger quota are held until the move is confirmed or reverted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Cancelled, Run
from conductor.tasks.host.moves import SetServerAside, TakeServerIn
from conductor.tasks.node.server_moves import MoveConnections
from conductor.tasks.records.migrations import SwitchToTarget, migration_in
from conductor.tasks.records.server_volumes import has_volumes
from conductor.tasks.scheduler.targets import ClaimTarget
from hostler import clock
from hostler.db.models import Server
from hostler.operations import notes
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import Kind
from hostler.resources.network import ports
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server waits to be confirmed."""
    migration = migration_in(session, run)
    migrations.move(session, migration.id, migrations.POST_MIGRATING)
    migrations.move(session, migration.id, migrations.FINISHED)
    ports.set_ports_host(session, run.resource_id, results["choice"]["host_id"], "ACTIVE")
    move(session, run.resource_id, states.RESIZED, {
        "power_state": results["guest"]["power_state"], "launched_at": clock.utcnow(), "fault": None})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server is what it was, with the cause; in error when it could not be put back."""
    migration = migration_in(session, run)
    server = session.get_one(Server, run.resource_id)
    cancelled = failure.code == Cancelled.code
    at_source = server.host_id == migration.source_host_id
    back = at_source and not notes.keys(session, run.held.id, notes.NOT_RESTORED)
    migrations.keep_one_claim(session, migration)
    run.follow(ports.set_ports_host(session, run.resource_id, server.host_id, "ACTIVE", run.context, arrived=False))
    migrations.move(session, migration.id, migrations.CANCELLED if cancelled else migrations.ERROR)
    move(session, run.resource_id, None if back else states.ERROR, {} if cancelled else {"fault": fault_of(failure)})


def procedure(kind: Kind[kinds.Move]) -> Procedure:
    """Return how a resize or a cold migration is carried out."""

    def build(with_volumes: bool) -> linear_flow.Flow:
        follow = [MoveConnections()] if with_volumes else []
        return linear_flow.Flow(kind.name).add(
            ClaimTarget(), SetServerAside(), SwitchToTarget(), *follow, TakeServerIn())

    return Procedure(kind, build, succeeded, failed, shape=lambda run: (has_volumes(run),))


RESIZE = procedure(kinds.RESIZE)
MIGRATE = procedure(kinds.MIGRATE)
