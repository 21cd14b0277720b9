"""Draining hosts: how the command and the API start and cancel it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Host, Operation
from hostler.db.moments import now
from hostler.operations import states
from hostler.operations.accept import Target, accept, unfinished
from hostler.operations.kinds import cloud
from hostler.operations.kinds.arguments import Arguments

MAINTENANCE: Final = "hostler:maintenance"  # metadata of an aggregate
REASON: Final = "maintenance"


def host_named(session: orm.Session, name: str) -> str:
    """Return the id of a host; raises NotFound."""
    host_id = session.scalar(sa.select(Host.id).where(Host.name == name))
    if host_id is None:
        raise errors.NotFound(f"Compute host {name} could not be found.", resource="host", id=name)
    return host_id


def drain(session: orm.Session, context: RequestContext, host_id: str, reason: str = REASON) -> str:
    """Take a host out of service and accept the operation that empties it; returns that, or the one under way."""
    session.execute(sa.update(Host).where(Host.id == host_id).values(
        enabled=False, disabled_reason=reason, changed_at=now()))
    under_way = unfinished(session, cloud.DRAIN, host_id)
    return under_way or accept(session, context, cloud.DRAIN, Target("host", host_id), Arguments()).id


def undrain(session: orm.Session, host_id: str) -> None:
    """Put a host back into service; a drain under way ends, and the servers it moved stay where they are."""
    session.execute(sa.update(Host).where(Host.id == host_id).values(
        enabled=True, disabled_reason=None, changed_at=now()))
    session.execute(sa.update(Operation).where(
        Operation.resource_id == host_id, Operation.kind == cloud.DRAIN.name,
        Operation.state.in_(states.UNFINISHED)).values(cancel_requested=True))


def follow(session: orm.Session, context: RequestContext, host_ids: Collection[str], *, wanted: bool) -> list[str]:
    """Drain hosts or put them back into service; returns the operations to wake."""
    if wanted:
        return [drain(session, context, host_id) for host_id in sorted(host_ids)]
    for host_id in sorted(host_ids):
        undrain(session, host_id)
    return []
