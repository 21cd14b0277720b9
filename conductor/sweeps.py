"""What becomes due by time alone: every conductor looks now and then, and accepts an operation for each server found.

What is due is read off the servers' rows, so nothing is kept that a crash could lose. Two conductors that find the
same server meet at its row: the second sees that it is not due any more, or that an operation holds it, and leaves it.

    Sweep(kinds.DELETE, due=lambda conf: sa.select(Server.id).where(...))
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import logging
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Operation, Server
from hostler.operations import states as operation_states
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind
from hostler.resources.server import states

LOG = logging.getLogger(__name__)
# More are left for the next turn.
_AT_ONCE: Final = 200


@dataclasses.dataclass(frozen=True)
class Sweep:
    """An operation without arguments that servers get when they are due.

    `due(conf, now)` selects their ids (`now` is the database's time), or is None when nothing ever is.
    """

    kind: Kind[Arguments]
    due: Callable[[cfg.ConfigOpts, dt.datetime], sa.Select[Any] | None]


def _expunged(conf: cfg.ConfigOpts, now: dt.datetime) -> sa.Select[Any] | None:
    """Select servers whose time in the trash is over."""
    if conf.compute.deletion_policy == "never":
        return None
    return _parked(states.SOFT_DELETED, now, conf.compute.expunge_period)


def _parked(vm_state: str, now: dt.datetime, seconds: float) -> sa.Select[Any]:
    return sa.select(Server.id).where(
        Server.deleted_at.is_(None), Server.vm_state == vm_state,
        Server.parked_at <= now - dt.timedelta(seconds=seconds))


def _offloaded(conf: cfg.ConfigOpts, now: dt.datetime) -> sa.Select[Any] | None:
    """Select servers that have been shelved on their hosts for long enough."""
    seconds = conf.compute.shelved_offload_time
    return _parked(states.SHELVED, now, seconds) if seconds >= 0 else None


SWEEPS: Final = (Sweep(kinds.DELETE, _expunged), Sweep(kinds.SHELVE_OFFLOAD, _offloaded))


def sweep(db: Database, conf: cfg.ConfigOpts, start: Callable[[str], None]) -> None:
    """Accept what is due and have it started."""
    for one in SWEEPS:
        due = one.due(conf, db.now())
        if due is None:
            continue
        # One that waits for its lock holds none.
        query = due.where(~sa.exists().where(
            Operation.resource_id == Server.id, Operation.kind == one.kind.name,
            Operation.state.in_(operation_states.UNFINISHED)))
        with db.reading() as session:
            server_ids = session.scalars(query.limit(_AT_ONCE)).all()
        for server_id in server_ids:
            try:
                operation_id = db.write(functools.partial(
                    _accept, kind=one.kind, query=query.where(Server.id == server_id)))
            except errors.ResourceLocked as error:
                LOG.info("%s of server %s waits: %s", one.kind.name, server_id, error)
                continue
            if operation_id is not None:
                LOG.info("%s of server %s is due", one.kind.name, server_id)
                start(operation_id)


def _accept(session: orm.Session, kind: Kind[Arguments], query: sa.Select[Any]) -> str | None:
    server_id = session.scalar(query.with_for_update())
    if server_id is None:
        return None
    server = session.get_one(Server, server_id)
    return accept(session, RequestContext.system(), kind, Target("server", server.id), Arguments(),
                  project_id=server.project_id, host_id=server.host_id).id
