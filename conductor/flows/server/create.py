"""server.create: find a host, claim it, build the guest there; on a failed build, try another host.

1. SelectHost    the scheduler chooses and claims (revert: release, and exclude that host)
2. AssignHost    the records name the host (revert: they no longer do)
3. SpawnServer   the agent plugs, fetches, defines, starts (revert: it removes all of it)

With volumes, before 1 and between 2 and 3:

0.  PlaceVolumes     each new volume gets a back end (revert: remove the volumes there, release the claims)
2a. FillVolumes      the back ends make the new volumes; they stay for another host (nothing to undo: see 0)
2b. ConnectVolumes   the nodes let the host in (revert: they no longer do)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.retries import AnotherPlace
from conductor.run import Cancelled, Run
from conductor.tasks.host.servers import SpawnServer
from conductor.tasks.node.attachments import ConnectVolumes
from conductor.tasks.node.server_volumes import FillVolumes
from conductor.tasks.records.server_volumes import new_volumes
from conductor.tasks.records.servers import AssignHost
from conductor.tasks.records.volumes import mark_deleted
from conductor.tasks.scheduler.hosts import SelectHost
from conductor.tasks.scheduler.server_volumes import PlaceVolumes
from hostler import clock
from hostler.db.models import VolumeAttachment
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server import allocations, states
from hostler.resources.server.moves import move
from hostler.resources.volume import moves as volume_moves
from hostler.resources.volume import records as volume_records
from hostler.resources.volume import states as volume_states

BUILD_ATTEMPTS = 3


def build(with_volumes: bool) -> linear_flow.Flow:
    """Return the flow."""
    if not with_volumes:
        return _on_a_host("server.create").add(SelectHost(), AssignHost(), SpawnServer())
    return linear_flow.Flow("server.create").add(PlaceVolumes(), _on_a_host("server.create.host").add(
        SelectHost(), AssignHost(), FillVolumes(), ConnectVolumes(), SpawnServer()))


def _on_a_host(name: str) -> linear_flow.Flow:
    # All: a retry that gives up would else revert its own flow alone, and leave what came before it.
    return linear_flow.Flow(name, retry=AnotherPlace(BUILD_ATTEMPTS, name="AnotherHost", revert_all=True))


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server is active."""
    move(session, run.resource_id, states.ACTIVE, {
        "power_state": results["guest"]["power_state"], "launched_at": clock.utcnow(), "fault": None})
    run.follow(ports.set_ports_host(session, run.resource_id, results["choice"]["host_id"], "ACTIVE", run.context))
    if run.arguments_of(kinds.CREATE).volumes:
        _volumes_are_there(session, run)


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server is in error with its cause, on no host; after a cancellation it only waits for its deletion."""
    cancelled = failure.code == Cancelled.code
    move(session, run.resource_id, None if cancelled else states.ERROR,
         {"host_id": None} if cancelled else {"host_id": None, "fault": fault_of(failure)})
    allocations.release(session, run.resource_id)
    run.follow(ports.set_ports_host(session, run.resource_id, None, "DOWN", run.context, arrived=False))
    if run.arguments_of(kinds.CREATE).volumes:
        _volumes_are_gone(session, run)


def _volumes_are_there(session: orm.Session, run: Run) -> None:
    now = clock.utcnow()
    for volume in new_volumes(session, run):
        zone = volume.zone if volume.backend_id is None else volume_records.place_of(session, volume.backend_id).zone
        volume_moves.VOLUME.move(session, volume.id, volume_states.READY, {
            "launched_at": now, "zone": zone, "fault": None})
    volume_moves.ATTACHMENT.move_all(session, volume_states.ATTACHED, {"attached_at": now},
                                     where=[VolumeAttachment.server_id == run.resource_id])


def _volumes_are_gone(session: orm.Session, run: Run) -> None:
    """The new ones are deleted; the others are detached."""
    volume_ids = [volume.id for volume in new_volumes(session, run)]
    session.execute(sa.delete(VolumeAttachment).where(VolumeAttachment.server_id == run.resource_id))
    mark_deleted(session, volume_ids)


PROCEDURE = Procedure(kinds.CREATE, build, succeeded, failed,
                      shape=lambda run: (bool(run.arguments_of(kinds.CREATE).volumes),))
