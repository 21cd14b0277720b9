"""Listing servers: filters, order and pages; the cost is the page's, not that of what is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api import paging
from api.core.server import filters as server_filters
from api.core.server import rows as server_rows
from api.core.server.rows import LOCKS, SERVERS, Related
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Host

_HOST_NAME = sa.select(Host.name).where(Host.id == SERVERS.c.host_id).correlate(SERVERS).scalar_subquery()

SORT_COLUMNS: Final[Mapping[str, Any]] = {
    "created_at": SERVERS.c.created_at, "updated_at": SERVERS.c.updated_at, "display_name": SERVERS.c.name,
    "display_description": SERVERS.c.description, "uuid": SERVERS.c.id, "hostname": SERVERS.c.hostname,
    "availability_zone": SERVERS.c.requested_zone,
    "config_drive": paging.flag(SERVERS.c.config_drive),
    "image_ref": SERVERS.c.image_id, "instance_type_id": SERVERS.c.flavor_id, "key_name": SERVERS.c.key_name,
    "launch_index": SERVERS.c.launch_index, "launched_at": SERVERS.c.launched_at,
    "locked": paging.flag(SERVERS.c.locked),
    "locked_by": paging.flag(SERVERS.c.locked), "power_state": SERVERS.c.power_state,
    "project_id": SERVERS.c.project_id,
    "terminated_at": SERVERS.c.deleted_at, "user_id": SERVERS.c.user_id, "vm_state": SERVERS.c.vm_state,
    "access_ip_v4": SERVERS.c.access_ip_v4, "access_ip_v6": SERVERS.c.access_ip_v6, "task_state": LOCKS.c.kind,
    "host": sa.type_coerce(sa.func.coalesce(_HOST_NAME, ""), sa.String()),
}
# Published keys that are the same for all servers here, so that they order nothing.
SORT_CONSTANT: Final = frozenset({"auto_disk_config", "kernel_id", "node", "progress", "ramdisk_id",
                                  "root_device_name"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerQuery:
    """What a list asks for. `filters` maps names of `server_filters.FILTERS` to their values.

    `project_id` None lists all projects'; `deleted` None lists both deleted and living ones.
    """

    page: paging.Page
    filters: Mapping[str, Sequence[str]]
    project_id: str | None
    deleted: bool | None = False
    user_data: bool = False


@dataclasses.dataclass(frozen=True)
class Listing:
    """One page and whether there is another after it."""

    rows: Sequence[Any]
    related: Related
    more: bool


def list_servers(services: Services, context: RequestContext, query: ServerQuery) -> Listing:
    """Return a page with everything that details show; raises Invalid for an unknown marker."""
    with services.db.reading() as session:
        rows = session.execute(_statement(session, context, query, server_rows.selection(user_data=query.user_data)))
        found = rows.all()
        shown = found[:query.page.limit]
        return Listing(shown, server_rows.related(services, session, shown), len(found) > len(shown))


def list_names(services: Services, context: RequestContext, query: ServerQuery) -> Listing:
    """Return a page of ids and names only."""
    base = sa.select(SERVERS.c.id, SERVERS.c.name).select_from(
        SERVERS.outerjoin(LOCKS, LOCKS.c.resource_id == SERVERS.c.id))
    with services.db.reading() as session:
        found = session.execute(_statement(session, context, query, base)).all()
    shown = found[:query.page.limit]
    return Listing(shown, server_rows.Related({}, {}, {}, {}, {}, {}), len(found) > len(shown))


def _statement(session: orm.Session, context: RequestContext, query: ServerQuery,
               base: sa.Select[Any]) -> sa.Select[Any]:
    columns = [(SORT_COLUMNS[key], descending) for key, descending in query.page.sort]
    statement = base.where(*_scope(query),
                           *(server_filters.condition_of(name, values) for name, values in query.filters.items()))
    if query.page.marker is not None:
        values = _marker_values(session, context, query, [column for column, _ in columns])
        statement = statement.where(paging.after_marker(columns, values))
        first, descending = columns[0]
        if values[0] is not None and not descending:
            # Says to the planner that everything before the marker may be skipped in the index.
            statement = statement.where(first >= values[0])
        elif values[0] is not None and not getattr(first, "nullable", False):
            statement = statement.where(first <= values[0])
    return statement.order_by(*paging.order_by(columns)).limit(query.page.limit + 1)


def _scope(query: ServerQuery) -> list[Any]:
    conditions: list[Any] = []
    if query.project_id is not None:
        conditions.append(SERVERS.c.project_id == query.project_id)
    if query.deleted is not None:
        conditions.append(SERVERS.c.deleted_at.is_not(None) if query.deleted else SERVERS.c.deleted_at.is_(None))
    return conditions


def _marker_values(session: orm.Session, context: RequestContext, query: ServerQuery,
                   columns: Sequence[Any]) -> tuple[Any, ...]:
    marker = query.page.marker or ""
    statement = (sa.select(*columns).select_from(SERVERS.outerjoin(LOCKS, LOCKS.c.resource_id == SERVERS.c.id))
                 .where(SERVERS.c.id == (ids.canonical(marker) or "")))
    if not context.is_admin:
        statement = statement.where(SERVERS.c.project_id == context.project_id)
    values = session.execute(statement).one_or_none()
    if values is None:
        raise errors.Invalid(reason=f"marker [{marker[:80]}] not found")
    return tuple(values)
