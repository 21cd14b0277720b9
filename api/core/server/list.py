"""Listing servers: filters, order and pages. The cost depends on the page, not on the number of servers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from api.core.server import rows as server_rows
from api.core.server.fields import SERVER
from api.core.server.rows import SERVERS, Related
from api.services import Services
from hostler.context import RequestContext
from hostler.query.paging import Query, read_page
from hostler.resources.server import states

_NAMES: Final = sa.select(SERVERS.c.id, SERVERS.c.name).select_from(SERVER.source)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerQuery:
    """What a list asks for; `deleted` None lists both deleted and living servers.

    Those in the trash are listed with the deleted ones, unless `soft_deleted` says otherwise.
    """

    page: Query
    deleted: bool | None = False
    soft_deleted: bool | None = None
    user_data: bool = False


@dataclasses.dataclass(frozen=True)
class Listing:
    """One page with what is shown beside its rows, and whether another may follow."""

    rows: Sequence[Any]
    related: Related
    full: bool


def list_servers(services: Services, context: RequestContext, query: ServerQuery) -> Listing:
    """Return a page with everything that details show; raises Invalid for an unknown marker."""
    return _read(services, context, query, server_rows.selection(user_data=query.user_data), details=True)


def list_names(services: Services, context: RequestContext, query: ServerQuery) -> Listing:
    """Return a page of ids and names only."""
    return _read(services, context, query, _NAMES, details=False)


def _read(services: Services, context: RequestContext, query: ServerQuery, selection: sa.Select[Any], *,
          details: bool) -> Listing:
    scope = [] if query.page.project_id is None else [SERVERS.c.project_id == query.page.project_id]
    if query.deleted is not None:
        scope += _present(query.deleted, query.deleted if query.soft_deleted is None else query.soft_deleted)
    # A page may start after a server that has gone or changed since: it need not match.
    seen = [] if context.is_admin else [SERVERS.c.project_id == context.project_id]
    with services.db.reading() as session:
        page = read_page(session, SERVER, query.page, scope, selection=selection, seen=seen)
        return Listing(page.rows, server_rows.related(services, session, page.rows if details else ()), page.full)


def _present(deleted: bool, trash: bool) -> list[sa.ColumnElement[bool]]:
    """Return what holds of deleted servers, or of living ones, with those in the trash or without."""
    if deleted:
        gone = SERVERS.c.deleted_at.is_not(None)
        return [sa.or_(gone, SERVERS.c.vm_state == states.SOFT_DELETED) if trash else gone]
    return [SERVERS.c.deleted_at.is_(None), *(() if trash else (SERVERS.c.vm_state != states.SOFT_DELETED,))]
