"""server.evacuate: a server whose host is down is made to run on another.

1. FenceHost        the old host can write none of its disks any more (nothing to undo)
2. ClaimTarget      the scheduler chooses, or checks, and claims a host beside the claim on the old one
                    (revert: as before, and exclude that host)
3. RebuildServer    the agent there makes the server: its disks are used where it sees them, else made from the image
                    (revert: it removes all of it)

With volumes, before 2 and between 2 and 3:

1a. LockVolumes       no other operation works on them (nothing to undo, the locks end with the operation)
2a. MoveConnections   their nodes shut the old host out and let the new one in (revert: the other way round)

The records name the old host until the end, whose transaction moves everything at once: until then reconciliation
leaves the server alone on both hosts, and from then on tells the old one to remove its copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.retries import AnotherPlace
from conductor.run import Cancelled, Run
from conductor.tasks.host.evacuate import RebuildServer
from conductor.tasks.host.sending import OFF
from conductor.tasks.node.server_moves import MoveConnections, shut_out
from conductor.tasks.records.evacuate import FenceHost
from conductor.tasks.records.locks import LockVolumes
from conductor.tasks.records.migrations import migration_in
from conductor.tasks.records.server_volumes import has_volumes
from conductor.tasks.scheduler.targets import ClaimTarget
from hostler import clock
from hostler.db.models import Server
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move

ATTEMPTS = 3


def build(with_volumes: bool) -> linear_flow.Flow:
    """Return the flow."""
    # All: a retry that gives up would else revert its own flow alone, and leave what came before it.
    elsewhere = linear_flow.Flow("server.evacuate.host", retry=AnotherPlace(ATTEMPTS, name="AnotherHost",
                                                                            revert_all=True))
    if not with_volumes:
        return linear_flow.Flow("server.evacuate").add(
            FenceHost(), elsewhere.add(ClaimTarget(), RebuildServer()))
    return linear_flow.Flow("server.evacuate").add(
        FenceHost(), LockVolumes(),
        elsewhere.add(ClaimTarget(), MoveConnections(let_go=shut_out), RebuildServer()))


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server is on its new host, with its ports and claims."""
    choice, power_state = results["choice"], results["guest"]["power_state"]
    migration = migration_in(session, run)
    # Another host numbers its reports by another clock. Should the guest have paused by then, a report says so.
    move(session, run.resource_id, states.STOPPED if power_state in OFF else states.ACTIVE, {
        "power_state": power_state, "host_id": choice["host_id"], "last_host_id": Server.host_id, "event_number": 0,
        "launched_at": clock.utcnow(), "fault": None})
    run.follow(ports.set_ports_host(session, run.resource_id, choice["host_id"], "ACTIVE", run.context, moved=True))
    migrations.keep_one_claim(session, migration)
    migrations.move(session, migration.id, migrations.DONE)


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server is in error on its old host; one that was never touched stays as it was."""
    migration = migration_in(session, run)
    cancelled = failure.code == Cancelled.code
    untouched = migration.status == migrations.ACCEPTED or cancelled
    migrations.keep_one_claim(session, migration)
    migrations.move(session, migration.id, migrations.CANCELLED if cancelled else migrations.ERROR)
    move(session, run.resource_id, None if untouched else states.ERROR,
         {} if cancelled else {"fault": fault_of(failure)})


PROCEDURE = Procedure(kinds.EVACUATE, build, succeeded, failed, shape=lambda run: (has_volumes(run),))
