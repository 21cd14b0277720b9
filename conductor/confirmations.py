"""Resizes and cold migrations that nobody confirmed or reverted in time: confirmed by themselves.

What is due is read off the records, so a crash loses nothing. Conductors that find the same server meet at its row:
one accepts the confirmation, the others see that an operation holds it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.db.models import Lock, Migration, Server
from hostler.db.moments import now
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.resources.server import migrations, states

LOG = logging.getLogger(__name__)
_AT_ONCE = 100  # more are left for the next turn


def interval_s(conf: cfg.ConfigOpts) -> float:
    """Return how often to look."""
    window_s = conf.compute.resize_confirm_window
    return max(1.0, min(60.0, window_s / 4)) if window_s else 60.0


def confirm_due(db: Database, conf: cfg.ConfigOpts, start: Callable[[str], None]) -> None:
    """Accept a confirmation for every move that has waited longer than the window, and have it started."""
    window_s = conf.compute.resize_confirm_window
    if not window_s:
        return
    query = sa.select(Server.id).join(Migration, Migration.server_id == Server.id).where(
        Server.deleted_at.is_(None), Server.vm_state == states.RESIZED, Server.id.not_in(sa.select(Lock.resource_id)),
        Migration.status == migrations.FINISHED, Migration.updated_at <= now(-window_s))
    with db.reading() as session:
        server_ids = session.scalars(query.limit(_AT_ONCE)).all()
    for server_id in server_ids:
        try:
            operation_id = db.write(functools.partial(_accept, server_id=server_id))
        except errors.ResourceLocked as error:
            LOG.info("the confirmation of server %s waits: %s", server_id, error)
            continue
        if operation_id is not None:
            LOG.info("server %s is confirmed after %s seconds", server_id, window_s)
            start(operation_id)


def _accept(session: orm.Session, server_id: str) -> str | None:
    vm_state = session.scalar(sa.select(Server.vm_state).where(Server.id == server_id).with_for_update())
    migration = migrations.open_of(session, server_id)
    if vm_state != states.RESIZED or migration is None or migration.status != migrations.FINISHED:
        return None
    operation = accept(session, RequestContext.system(), kinds.CONFIRM_RESIZE, Target("server", server_id), Arguments(),
                       project_id=migration.project_id, host_id=migration.source_host_id)
    migrations.move(session, migration.id, migrations.CONFIRMING)
    return operation.id
