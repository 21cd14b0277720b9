"""What agents report of the long steps of running operations."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.engine import Database
from hostler.db.models import Backend, Host, Lock, Operation, Server, Volume, VolumeNode
from hostler.operations import states


def record_progress(db: Database, operation_id: str, attempt: int, percent: int, *, agent: str | None = None) -> bool:
    """Note how far an agent is with the long step of an operation; nothing when another attempt runs by now, or when
    the operation holds neither a volume nor a server of `agent` (None: any may say so).

    Returns whether the work is still wanted: nobody asked the operation to stop.
    """
    bounded = max(0, min(99, percent))
    query = sa.update(Operation).where(Operation.id == operation_id, Operation.attempt == attempt,
                                       Operation.state == states.RUNNING, Operation.progress < bounded)
    if agent is not None:
        holds_volume = sa.exists().where(
            Lock.operation_id == Operation.id, Volume.id == Lock.resource_id,
            Backend.id.in_((Volume.backend_id, Volume.target_backend_id)), VolumeNode.id == Backend.node_id,
            VolumeNode.name == agent)
        holds_server = sa.exists().where(
            Lock.operation_id == Operation.id, Server.id == Lock.resource_id, Host.id == Server.host_id,
            Host.name == agent)
        query = query.where(sa.or_(holds_volume, holds_server))

    def work(session: orm.Session) -> bool:
        session.execute(query.values(progress=bounded))
        return not session.scalar(sa.select(Operation.cancel_requested).where(
            Operation.id == operation_id, Operation.attempt == attempt))

    return db.write(work)
