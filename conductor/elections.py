"""Has another host lead outside for routers whose elected host is down, or has no guest of theirs any more.

Every conductor looks; two that find the same router meet at its gateway's row, and one elects.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from oslo_config import cfg
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.resources.network import elections


def sweep(db: Database, conf: cfg.ConfigOpts, still_leads: Callable[[str], bool]) -> list[str]:
    """Elect where it is due; returns the operations to wake.

    A host that does not report, but `still_leads` by its name, keeps its routers: with another one there would be two
    that answer at one address.
    """
    with db.reading() as session:
        due = {router_id: elections.silent_leader(session, router_id, conf.service_down_time)
               for router_id in elections.due(session, conf.service_down_time)}
    kept = {silent for silent in set(due.values()) if silent is not None and still_leads(silent)}
    return [operation_id for router_id, silent in due.items() if silent not in kept
            for operation_id in db.write(functools.partial(_elect, router_id=router_id, conf=conf))]


def _elect(session: orm.Session, *, router_id: str, conf: cfg.ConfigOpts) -> list[str]:
    chosen = elections.choose(session, router_id, conf.service_down_time)
    return [] if chosen == elections.leader(session, router_id) else elections.elect(
        session, RequestContext.system(), router_id, chosen)
