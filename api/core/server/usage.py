"""What projects used in a period: each server's hours from its launch to its end, and their sums.

A server counts with its present sizes; one that never was launched does not count.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api.core.server.rows import SERVERS
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext

_POLICY = "os_compute_api:os-simple-tenant-usage:"


@dataclasses.dataclass(frozen=True)
class ServerUsage:
    """One server's row and its hours within the period."""

    row: Any
    hours: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class UsageQuery:
    """The period, and a page of servers (after the server `marker`)."""

    start: dt.datetime
    stop: dt.datetime
    limit: int
    marker: str | None = None


@dataclasses.dataclass(frozen=True)
class Usage:
    """The servers of one page, and whether there are more."""

    servers: Sequence[ServerUsage]
    more: bool


def usage(services: Services, context: RequestContext, query: UsageQuery, project: str | None) -> Usage:
    """Return the use of one project, or of all; raises Forbidden, Invalid for a period that ends before it starts."""
    project_id = ids.canonical(project) or project if project is not None else None
    if project_id is None:
        services.policy.check(context, _POLICY + "list")
    else:
        services.policy.check(context, _POLICY + "show", {"project_id": project_id})
    if query.start > query.stop:
        raise errors.Invalid(reason="Invalid start time. The start time cannot occur after the end time.")
    columns = SERVERS.c
    statement = sa.select(columns.id, columns.name, columns.project_id, columns.vm_state, columns.vcpus,
                          columns.ram_mib, columns.root_gib, columns.ephemeral_gib, columns.flavor,
                          columns.launched_at, columns.deleted_at).where(
        columns.launched_at.is_not(None), columns.launched_at <= query.stop,
        sa.or_(columns.deleted_at.is_(None), columns.deleted_at >= query.start))
    if project_id is not None:
        statement = statement.where(columns.project_id == project_id)
    if query.marker is not None:
        statement = statement.where(columns.id > (ids.canonical(query.marker) or ""))
    with services.db.reading() as session:
        rows = session.execute(statement.order_by(columns.id).limit(query.limit + 1)).all()
    shown = rows[:query.limit]
    return Usage([ServerUsage(row, _hours(row, query)) for row in shown], len(rows) > len(shown))


def _hours(row: Any, query: UsageQuery) -> float:
    begin = max(row.launched_at, query.start)
    end = min(row.deleted_at or query.stop, query.stop)
    return max((end - begin).total_seconds(), 0.0) / 3600
