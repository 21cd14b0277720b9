"""server.delete: the host removes the guest, then the records go.

1. DestroyServer   the agent removes domain, disk and ports (nothing to undo)

With a move that was not confirmed, before it:

0a. DiscardServer   the host it came from removes what it set aside (nothing to undo)

With volumes, before and after it:

0. LockVolumes         no other operation works on them (nothing to undo, the locks end with the operation)
2. DisconnectVolumes   their nodes no longer let the host in (nothing to undo)
3. DeleteVolumes       those with delete_on_termination are deleted (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.flows.ends import fails_as
from conductor.procedure import Procedure
from conductor.run import Run
from conductor.tasks.host.moves import DiscardServer
from conductor.tasks.host.servers import DestroyServer
from conductor.tasks.node.attachments import DisconnectVolumes
from conductor.tasks.node.server_volumes import DeleteVolumes
from conductor.tasks.records import images
from conductor.tasks.records.locks import LockVolumes
from conductor.tasks.records.volumes import mark_deleted
from hostler import clock
from hostler.db.compiled import execute_built
from hostler.db.models import Migration, Server, ServerGroupMember, VolumeAttachment
from hostler.operations.kinds import server as kinds
from hostler.resources.network import ports
from hostler.resources.server import allocations, migrations, states
from hostler.resources.server.moves import SERVER, move
from hostler.resources.volume import moves as volume_moves
from hostler.resources.volume import states as volume_states

# Built once, for every delete: what few servers have, and what the shape of the flow depends on.
_LEFT = sa.select(
    Server.shelved_image_id, sa.exists().where(VolumeAttachment.server_id == Server.id).label("volumes"),
    sa.exists().where(Migration.server_id == Server.id, migrations.IS_OPEN).label("migration"),
    sa.exists().where(ServerGroupMember.server_id == Server.id).label("membership")).where(
    Server.id == sa.bindparam("server"))


def build(with_volumes: bool, moved: bool) -> linear_flow.Flow:
    """Return the flow."""
    flow = linear_flow.Flow("server.delete")
    if moved:
        flow.add(DiscardServer())
    if not with_volumes:
        return flow.add(DestroyServer())
    return flow.add(LockVolumes(), DestroyServer(), DisconnectVolumes(), DeleteVolumes())


def succeeded(session: orm.Session, run: Run, results: Mapping[str, Any]) -> None:
    """Only the record stays, for lists of deleted servers."""
    allocations.release(session, run.resource_id)
    run.follow(ports.release_ports(session, run.resource_id, run.context))
    left = run.memory["left"]
    if left.migration:
        migrations.end_open(session, run.resource_id, migrations.CONFIRMED)
    if left.membership:
        session.execute(sa.delete(ServerGroupMember).where(ServerGroupMember.server_id == run.resource_id))
    if left.shelved_image_id is not None:
        images.remove_unprotected(session, [left.shelved_image_id])
    if "volumes" in results:
        _let_go_of_volumes(session, run, results["volumes"])
    move(session, run.resource_id, states.DELETED, {
        "power_state": "nostate", "deleted_at": clock.utcnow(), "last_host_id": Server.host_id, "host_id": None})


def _let_go_of_volumes(session: orm.Session, run: Run, volumes: dict[str, Any]) -> None:
    session.execute(sa.delete(VolumeAttachment).where(VolumeAttachment.server_id == run.resource_id))
    mark_deleted(session, volumes["deleted"])
    for volume_id, why in volumes["failed"].items():
        volume_moves.VOLUME.move(session, volume_id, volume_states.ERROR_DELETING, {
            "fault": {"message": why, "details": "", "created": clock.iso_z(clock.utcnow())}})


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server is in error; what a move had set aside for a revert is gone."""
    fails_as(SERVER, states.ERROR)(session, run, failure)
    migrations.end_open(session, run.resource_id)


def _shape(run: Run) -> tuple[bool, bool]:
    """Return the arguments of `build`, and remember what else there is to remove: while the run has the server's lock,
    neither attachments, moves, images nor memberships come.
    """
    with run.reading() as session:
        left = execute_built(session, _LEFT, {"server": run.resource_id}).one()
        run.memory.update(left=left)
        return bool(left.volumes), bool(left.migration)


PROCEDURE = Procedure(kinds.DELETE, build, succeeded, failed, shape=_shape)
