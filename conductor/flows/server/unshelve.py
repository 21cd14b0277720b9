"""server.unshelve: the shelved server runs again, and the image it was shelved as is deleted.

On the host that it has not left:

1. StartServer   the agent starts the guest (nothing to undo)

Elsewhere, and on another host when one fails:

1. SelectHost       the scheduler chooses and claims (revert: release, and exclude that host)
2. AssignHost       the records name the host (revert: they no longer do)
3. ConnectVolumes   the nodes of its volumes let the host in (revert: they no longer do)
4. SpawnServer      the agent builds and starts the guest from the image (revert: it removes all of it)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.retries import AnotherPlace
from conductor.run import Cancelled, Run
from conductor.tasks.host.servers import ChangePower, SpawnServer
from conductor.tasks.node.attachments import ConnectVolumes
from conductor.tasks.records import images
from conductor.tasks.records.server_volumes import has_volumes
from conductor.tasks.records.servers import AssignHost
from conductor.tasks.scheduler.hosts import SelectHost
from hostler import clock
from hostler.db.models import Server, VolumeAttachment
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server import allocations, states
from hostler.resources.server.moves import move
from hostler.resources.volume import moves as volume_moves
from hostler.resources.volume import states as volume_states

BUILD_ATTEMPTS: Final = 3


def build(offloaded: bool, with_volumes: bool) -> linear_flow.Flow:
    """Return the flow."""
    if not offloaded:
        return linear_flow.Flow("server.unshelve").add(ChangePower("start"))
    flow = linear_flow.Flow("server.unshelve", retry=AnotherPlace(BUILD_ATTEMPTS, name="AnotherHost",
                                                                  revert_all=True))
    flow.add(SelectHost(), AssignHost())
    if with_volumes:
        flow.add(ConnectVolumes())
    return flow.add(SpawnServer(inject={"admin_password": None}))


def _shape(run: Run) -> tuple[bool, bool]:
    with run.reading() as session:
        offloaded = session.get_one(Server, run.resource_id).vm_state == states.SHELVED_OFFLOADED
    return offloaded, offloaded and has_volumes(run)


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """The server runs; its image is deleted."""
    image_id = session.get_one(Server, run.resource_id).shelved_image_id
    move(session, run.resource_id, states.ACTIVE, {
        "power_state": results["guest"]["power_state"], "launched_at": clock.utcnow(), "fault": None,
        "parked_at": None, "shelved_image_id": None, "requested_host": None})
    if "choice" in results:
        run.follow(ports.set_ports_host(session, run.resource_id, results["choice"]["host_id"], "ACTIVE", run.context))
        volume_moves.ATTACHMENT.move_all(session, volume_states.ATTACHED, {"attached_at": clock.utcnow()},
                                         where=[VolumeAttachment.server_id == run.resource_id])
    if image_id is not None:
        images.remove_unprotected(session, [image_id])


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server stays shelved, and records the cause."""
    values = {} if failure.code == Cancelled.code else {"fault": fault_of(failure)}
    offloaded = move(session, run.resource_id, None, {"host_id": None, **values}, only_from=(states.SHELVED_OFFLOADED,))
    if not offloaded:
        move(session, run.resource_id, None, {"parked_at": Server.parked_at, **values})
        return
    allocations.release(session, run.resource_id)
    run.follow(ports.set_ports_host(session, run.resource_id, None, "DOWN", run.context, arrived=False))


PROCEDURE = Procedure(kinds.UNSHELVE, build, succeeded, failed, _shape)
