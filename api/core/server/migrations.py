"""Migrations: the list of all, and a server's live ones while they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.server import rows as server_rows
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Migration
from hostler.query.fields import Field, constant
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources.server import migrations

_POLICY = "os_compute_api:"


def _on_host(values: Sequence[str]) -> sa.ColumnElement[bool]:
    return sa.or_(Migration.source_host.in_(values), Migration.dest_host.in_(values))


MIGRATION: Final = declare(
    Migration, {"host": Field(match=_on_host), "hidden": constant("0", "false", "False")}, key="id")
_LIVE: Final = (Migration.type == migrations.LIVE_MIGRATION, Migration.status.in_(migrations.LIVE_IN_PROGRESS))


def list_migrations(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of all migrations; raises Forbidden, and Invalid for an unknown marker."""
    services.policy.check(context, _POLICY + "os-migrations:index")
    with services.db.reading() as session:
        return read_page(session, MIGRATION, query)


def list_live(services: Services, context: RequestContext, server_id: str) -> Sequence[Migration]:
    """Return a server's live migrations that are under way; raises NotFound, Forbidden."""
    with services.db.reading() as session:
        server = server_rows.find(session, context, server_id)
        services.policy.check(context, _POLICY + "servers:migrations:index", server_rows.target_of(server))
        return session.scalars(sa.select(Migration).where(Migration.server_id == server.id, *_LIVE)
                               .order_by(Migration.number)).all()


def show_live(services: Services, context: RequestContext, server_id: str, number: int) -> Migration:
    """Return one live migration of a server that is under way; raises NotFound, Forbidden."""
    with services.db.reading() as session:
        server = server_rows.find(session, context, server_id)
        services.policy.check(context, _POLICY + "servers:migrations:show", server_rows.target_of(server))
        return find_live(session, server.id, number)


def find_live(session: orm.Session, server_id: str, number: int) -> Migration:
    """Return a live migration that is under way, by the number that users know; raises NotFound, saying why."""
    row = session.scalars(sa.select(Migration).where(
        Migration.server_id == server_id, Migration.number == number)).one_or_none()
    if row is None:
        raise errors.NotFound(f"Migration {number} for server {server_id} could not be found.", resource="migration",
                              id=str(number))
    if row.type != migrations.LIVE_MIGRATION:
        raise errors.NotFound(f"Migration {number} for server {server_id} is not live-migration.",
                              resource="migration", id=str(number))
    if row.status not in migrations.LIVE_IN_PROGRESS:
        raise errors.NotFound(f"Live migration {number} for server {server_id} is not in progress.",
                              resource="migration", id=str(number))
    return row
