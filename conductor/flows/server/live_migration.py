"""server.live_migrate: the guest goes to another host while it runs.

1. ClaimTarget     the scheduler chooses and claims, the source's agent describes the guest; the migration keeps what
                   is held of the source (revert: the target is released)
2. PrepareTarget   the target's agent makes ports, disks and what else the guest lands on (revert: it removes it)
3. SendGuest       the source's hypervisor sends; progress, wishes, limits of time (revert: it is aborted; a guest that
                   has arrived nevertheless stays there)
4. TakeOver        the target's agent compares the disks, where it is configured to, and takes over; the records
                   name the target while the source's agent removes what is left (from here there is no way back)
5. CleanSource     the source's agent removes it, where it has not yet

With volumes, before 1, between 1 and 2, and at the end:

0. LockVolumes          nobody else works on them
1a. ConnectTarget       their nodes let the target in, beside the source (revert: no longer)
6. DisconnectSource     their nodes let the source in no longer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Cancelled, Run
from conductor.tasks.host.live_migration import ClaimLanding, CleanSource, PrepareTarget, SendGuest, TakeOver
from conductor.tasks.host.sending import OFF
from conductor.tasks.node.live_moves import ConnectTarget, DisconnectSource
from conductor.tasks.records.live_migration import has_landed
from conductor.tasks.records.locks import LockVolumes
from conductor.tasks.records.migrations import migration_id
from conductor.tasks.records.server_volumes import has_volumes
from hostler import errors
from hostler.operations.kinds import server as kinds
from hostler.resources.server import migrations, states
from hostler.resources.server.moves import move


def build(with_volumes: bool) -> linear_flow.Flow:
    """Return the flow."""
    flow = linear_flow.Flow("server.live_migrate")
    travel = PrepareTarget(), SendGuest(), TakeOver(), CleanSource()
    if with_volumes:
        return flow.add(LockVolumes(), ClaimLanding(), ConnectTarget(), *travel, DisconnectSource())
    return flow.add(ClaimLanding(), *travel)


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server is at its target; one that went off on arrival is stopped there."""
    power_state = results["guest"]["power_state"]
    migration = migration_id(session, run)
    migrations.release_claim(session, migration)
    migrations.move(session, migration, migrations.COMPLETED)
    move(session, run.resource_id, states.STOPPED if power_state in OFF else None,
         {"power_state": power_state, "fault": None})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server runs on where it was, or is off there."""
    migration = migration_id(session, run)
    if has_landed(session, run):
        migrations.move(session, migration, migrations.COMPLETED)
        return
    asked = failure.code in (errors.MigrationAborted.code, Cancelled.code)
    migrations.move(session, migration, migrations.CANCELLED if asked else migrations.FAILED)
    if not asked:
        move(session, run.resource_id, None, {"fault": fault_of(failure)})


PROCEDURE = Procedure(kinds.LIVE_MIGRATE, build, succeeded, failed, shape=lambda run: (has_volumes(run),))
