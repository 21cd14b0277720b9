"""The published face of migrations: the list of all, and a server's live ones."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.core.server import live_migration
from api.core.server import migrations as server_migrations
from api.openstack.compute import params
from api.openstack.compute.microversion import ALWAYS, Version, available, since
from api.openstack.resource import Resource
from hostler import clock, ids
from hostler.db.models import Migration
from hostler.query import text
from hostler.resources.server.migrations import LIVE_IN_PROGRESS, LIVE_MIGRATION

_TYPED: Final = since(23)
_PAGED: Final = since(59)
_OWNED: Final = since(80)
_FILTERS: Final[dict[str, text.Filter]] = {
    **{name: text.last(name) for name in ("hidden", "host", "status")}, "instance_uuid": text.last("server_id"),
    "source_compute": text.last("source_host"), "migration_type": text.last("type"), "user_id": text.last("user_id"),
    "project_id": text.last("project_id"), "changes-since": text.since("updated_at"),
    "changes-before": text.before("updated_at")}
_LIST: Final = {
    **dict.fromkeys(("hidden", "host", "instance_uuid", "source_compute", "status", "migration_type"), ALWAYS),
    **dict.fromkeys(("limit", "marker", "changes-since"), _PAGED), "changes-before": since(66),
    **dict.fromkeys(("user_id", "project_id"), _OWNED)}
_FIGURES: Final = tuple(f"{kind}_{what}_bytes" for kind in ("disk", "memory") for what in (
    "processed", "remaining", "total"))


def _common(row: Migration, version: Version) -> dict[str, Any]:
    view: dict[str, Any] = {
        "id": row.number, "status": row.status, "source_compute": row.source_host, "source_node": row.source_node,
        "dest_compute": row.dest_host, "dest_node": row.dest_node, "dest_host": row.dest_ip,
        "created_at": clock.iso_micro(row.created_at), "updated_at": clock.iso_micro(row.updated_at)}
    if version in _PAGED:
        view["uuid"] = row.id
    if version in _OWNED:
        view.update(user_id=row.user_id and ids.bare(row.user_id), project_id=ids.bare(row.project_id))
    return view


def _flavor_number(flavor: dict[str, Any]) -> int | None:
    """Return a flavor's id as the published whole number; None for the ids that are none."""
    flavorid = str(flavor.get("flavor", {}).get("flavorid", ""))
    return int(flavorid) if flavorid.isascii() and flavorid.isdigit() and len(flavorid) < 10 else None


def view(row: Migration, version: Version, base: str) -> dict[str, Any]:
    """Return a migration as the list of all shows it."""
    shown = {**_common(row, version), "instance_uuid": row.server_id,
             "old_instance_type_id": _flavor_number(row.old_flavor),
             "new_instance_type_id": _flavor_number(row.new_flavor)}
    if version in _TYPED:
        shown["migration_type"] = row.type
        if row.type == LIVE_MIGRATION and row.status in LIVE_IN_PROGRESS:
            path = f"servers/{row.server_id}/migrations/{row.number}"
            shown["links"] = [{"rel": "self", "href": f"{base}{params.ROOT}/{path}"},
                              {"rel": "bookmark", "href": f"{base}/{path}"}]
    return shown


def live_view(row: Migration, version: Version) -> dict[str, Any]:
    """Return a live migration as its server shows it."""
    # A figure of 0 is none yet: the published answer has no 0.
    return {**_common(row, version), "server_uuid": row.server_id,
            **{name: getattr(row, name) or None for name in _FIGURES}}


class Migrations(Resource):
    """GET /os-migrations."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List, newest first where it is paged. Unknown parameters are refused since 2.59."""
        version = request.context.version
        context = params.caller(request)
        found = params.read(request, _LIST, strict=_PAGED.since)
        wanted = {name: values for name, values in found.items() if name in _FILTERS}
        paged = version in _PAGED
        order = [("created_at", True), ("id", True)] if paged else [("number", False)]
        query = params.page_of(request, self.conf, default=order, where=text.where(_FILTERS, wanted), paged=paged)
        page = server_migrations.list_migrations(self.services, context, query)
        base = params.base_of(self.conf, request)
        body: dict[str, Any] = {"migrations": [view(row, version, base) for row in page.rows]}
        if page.full and paged:
            body["migrations_links"] = params.page_links(request, self.conf, "/os-migrations", page.rows[-1].id)
        response.media = body


class ServerMigrations(Resource):
    """GET /servers/{id}/migrations."""

    @available(_TYPED)
    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List the live ones that are under way."""
        rows = server_migrations.list_live(self.services, params.caller(request), server_id)
        response.media = {"migrations": [live_view(row, request.context.version) for row in rows]}


class ServerMigrationItem(Resource):
    """GET /servers/{id}/migrations/{number}."""

    @available(_TYPED)
    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str, migration_id: str) -> None:
        """Show a live one that is under way."""
        row = server_migrations.show_live(self.services, params.caller(request), server_id,
                                          params.integer_id(migration_id))
        response.media = {"migration": live_view(row, request.context.version)}

    @available(since(24))
    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str, migration_id: str) -> None:
        """Abort it; since 2.65 also before it has begun to send."""
        live_migration.abort(self.services, params.caller(request), server_id, params.integer_id(migration_id),
                             queued=request.context.version in since(65))
        response.status = 202
