"""server.shelve: the server is switched off and its disk becomes an image, unless it boots from a volume.

1. SwitchOff      the agent shuts the guest down (revert: it starts it, if it ran)
2. UploadServer   the agent sends the disk to the image store (revert: it removes the copy)

server.shelve_offload: the shelved server leaves its host, and is an image or volumes alone.

1. LeaveHost           the agent removes the guest and its files (nothing to undo: the image has its disk)

With volumes, before and after it:

0. LockVolumes         no other operation works on them (nothing to undo, the locks end with the operation)
2. DisconnectVolumes   their nodes no longer let the host in (nothing to undo)

Two operations, although one follows the other at once by default: from the moment the host begins to remove the disk
there is no way back, so the records must first say that the image is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure, fault_of
from conductor.procedure import Procedure
from conductor.run import Cancelled, Run
from conductor.tasks.host.parking import LeaveHost, SwitchOff
from conductor.tasks.host.snapshots import UploadServer
from conductor.tasks.node.attachments import DisconnectVolumes
from conductor.tasks.records import images
from conductor.tasks.records.locks import LockVolumes
from conductor.tasks.records.server_volumes import has_volumes
from hostler.db.models import Server, VolumeAttachment
from hostler.db.moments import now
from hostler.operations.accept import Target, accept_next
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources.network import ports
from hostler.resources.server import allocations, states
from hostler.resources.server.moves import move
from hostler.resources.volume import moves as volume_moves
from hostler.resources.volume import states as volume_states


def _build_shelve(with_image: bool) -> linear_flow.Flow:
    flow = linear_flow.Flow("server.shelve").add(SwitchOff())
    return flow.add(UploadServer()) if with_image else flow


def _shelved(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    arguments = run.arguments_of(kinds.SHELVE)
    move(session, run.resource_id, states.SHELVED, {
        "power_state": results["guest"]["power_state"], "fault": None, "parked_at": now(),
        "shelved_image_id": arguments.image_id})
    if arguments.offload:
        server = session.get_one(Server, run.resource_id)
        operation = accept_next(session, run.context, kinds.SHELVE_OFFLOAD, Target("server", server.id), Arguments(),
                                after=run.held.id, project_id=server.project_id, host_id=server.host_id)
        run.follow([operation.id])


def _not_shelved(session: orm.Session, run: Run, failure: Failure) -> None:
    """The image is gone; the server is as it was, and records the cause."""
    image_id = run.arguments_of(kinds.SHELVE).image_id
    if image_id is not None:
        images.remove(session, [image_id])
    if failure.code != Cancelled.code:
        move(session, run.resource_id, None, {"fault": fault_of(failure)})


def _build_offload(with_volumes: bool) -> linear_flow.Flow:
    flow = linear_flow.Flow("server.shelve_offload")
    if not with_volumes:
        return flow.add(LeaveHost())
    return flow.add(LockVolumes(), LeaveHost(), DisconnectVolumes())


def _offloaded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    allocations.release(session, run.resource_id)
    run.follow(ports.set_ports_host(session, run.resource_id, None, "DOWN", run.context, arrived=False))
    volume_moves.ATTACHMENT.move_all(session, volume_states.RESERVED, {"connection": {}, "connector": {}},
                                     where=[VolumeAttachment.server_id == run.resource_id])
    move(session, run.resource_id, states.SHELVED_OFFLOADED, {
        "power_state": "nostate", "fault": None, "last_host_id": Server.host_id, "host_id": None,
        "requested_host": sa.null(), "event_number": 0})


def _not_offloaded(session: orm.Session, run: Run, failure: Failure) -> None:
    """It stays shelved on its host; the time until its offload begins again."""
    move(session, run.resource_id, None, {"fault": fault_of(failure), "parked_at": now()},
         only_from=(states.SHELVED,))


SHELVE = Procedure(kinds.SHELVE, _build_shelve, _shelved, _not_shelved,
                   shape=lambda run: (run.arguments_of(kinds.SHELVE).image_id is not None,))
SHELVE_OFFLOAD = Procedure(kinds.SHELVE_OFFLOAD, _build_offload, _offloaded, _not_offloaded,
                           shape=lambda run: (has_volumes(run),))
