"""server.delete: the host removes the guest, then the records go.

1. DestroyServer   the agent removes domain, disk and ports (nothing to undo)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow.patterns import linear_flow

from conductor.flows.create_server import fault_of
from conductor.kinds import Failure, Kind
from conductor.run import Run
from conductor.tasks.servers import DestroyServer
from hostler import clock
from hostler.db.models import Server, ServerGroupMember
from hostler.resources import allocations, ports, states


def build(run: Run) -> linear_flow.Flow:
    """Return the flow."""
    return linear_flow.Flow("server.delete").add(DestroyServer(run))


def succeeded(session: orm.Session, run: Run, _results: Mapping[str, Any]) -> None:
    """Nothing of the server is left but its record for those who ask for deleted ones."""
    allocations.release(session, run.resource_id)
    ports.release_ports(session, run.resource_id, run.context)
    session.execute(sa.delete(ServerGroupMember).where(ServerGroupMember.server_id == run.resource_id))
    now = clock.utcnow()
    session.execute(sa.update(Server).where(Server.id == run.resource_id).values(
        vm_state=states.DELETED, power_state="nostate", deleted_at=now, last_host_id=Server.host_id, host_id=None))


def failed(session: orm.Session, run: Run, failure: Failure) -> None:
    """The server is in error with its cause; it may be deleted again."""
    session.execute(sa.update(Server).where(Server.id == run.resource_id).values(
        vm_state=states.ERROR, fault=fault_of(failure)))


KIND = Kind(build, succeeded, failed)
