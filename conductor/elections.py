"""Has another host lead outside for routers whose elected host is down, or has no guest of theirs any more.

Every conductor looks; two that find the same router meet at its gateway's row, and one elects.
"""

from __future__ import annotations

import functools

from oslo_config import cfg
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.resources.network import elections


def sweep(db: Database, conf: cfg.ConfigOpts) -> list[str]:
    """Elect where it is due; returns the operations to wake."""
    with db.reading() as session:
        router_ids = elections.due(session, conf.service_down_time)
    return [operation_id for router_id in router_ids
            for operation_id in db.write(functools.partial(_elect, router_id=router_id, conf=conf))]


def _elect(session: orm.Session, *, router_id: str, conf: cfg.ConfigOpts) -> list[str]:
    chosen = elections.choose(session, router_id, conf.service_down_time)
    return [] if chosen == elections.leader(session, router_id) else elections.elect(
        session, RequestContext.system(), router_id, chosen)
