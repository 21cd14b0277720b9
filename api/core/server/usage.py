"""What projects used in a period: each server's hours from its launch to its end, and their sums.

A server counts with its present sizes; servers that were never launched do not count.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api.core.server.fields import SERVER
from api.core.server.rows import SERVERS
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.query.paging import Query, read_page

_POLICY = "os_compute_api:os-simple-tenant-usage:"
_ROWS = sa.select(*(SERVERS.c[name] for name in (
    "id", "name", "project_id", "vm_state", "vcpus", "ram_mib", "root_gib", "ephemeral_gib", "flavor", "launched_at",
    "deleted_at"))).select_from(SERVER.source)


@dataclasses.dataclass(frozen=True)
class ServerUsage:
    """One server's row and its hours within the period."""

    row: Any
    hours: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class UsageQuery:
    """The period, and a page of servers."""

    start: dt.datetime
    stop: dt.datetime
    page: Query


@dataclasses.dataclass(frozen=True)
class Usage:
    """The servers of one page, and whether another may follow."""

    servers: Sequence[ServerUsage]
    full: bool


def usage(services: Services, context: RequestContext, query: UsageQuery, project: str | None) -> Usage:
    """Return the use of one project, or of all; raises Forbidden, Invalid for a period that ends before it starts."""
    project_id = ids.canonical(project) or project if project is not None else None
    if project_id is None:
        services.policy.check(context, _POLICY + "list")
    else:
        services.policy.check(context, _POLICY + "show", {"project_id": project_id})
    if query.start > query.stop:
        raise errors.Invalid(reason="Invalid start time. The start time cannot occur after the end time.")
    launched = [SERVERS.c.launched_at.is_not(None), SERVERS.c.launched_at <= query.stop,
                sa.or_(SERVERS.c.deleted_at.is_(None), SERVERS.c.deleted_at >= query.start)]
    if project_id is not None:
        launched.append(SERVERS.c.project_id == project_id)
    with services.db.reading() as session:
        page = read_page(session, SERVER, query.page, launched, selection=_ROWS)
    return Usage([ServerUsage(row, _hours(row, query)) for row in page.rows], page.full)


def _hours(row: Any, query: UsageQuery) -> float:
    begin = max(row.launched_at, query.start)
    end = min(row.deleted_at or query.stop, query.stop)
    return max((end - begin).total_seconds(), 0.0) / 3600
