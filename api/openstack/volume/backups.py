"""The published face of backups: list, create, show, update, delete, restore, and their actions."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import backup_create, backup_restore, backups
from api.core.volume import rows as volume_rows
from api.core.volume.backup_create import NewBackup
from api.core.volume.backups import BACKUPS
from api.microversions import ALWAYS, Version
from api.openstack.resource import Resource
from api.openstack.volume import params, queries, schema
from api.openstack.volume.microversion import available, since
from api.openstack.volume.queries import Listed
from api.openstack.volume.schema import Body, Property
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.query import text

_WITH_PROJECT: Final = since(18)
_WITH_METADATA: Final = since(43)
_WITH_ZONE: Final = since(51)
_WITH_USER: Final = since(56)
LISTED: Final = Listed(
    everywhere="backup:get_all:all_projects", published=("name", "status", "volume_id"),
    filters={**{name: text.last(name) for name in (
        "name", "status", "volume_id", "snapshot_id", "parent_id", "container")},
        "availability_zone": text.last("zone"), **queries.likes(name="name", status="status")},
    sortable={"display_name": "name", "size": "size_gib", "data_timestamp": "data_at", "availability_zone": "zone",
              **{name: name for name in (
                  "id", "name", "status", "description", "volume_id", "created_at", "updated_at", "container",
                  "snapshot_id", "object_count", "project_id")}})
_METADATA_OR_NULL: Final = {**schema.METADATA, "type": ["object", "null"]}
_CREATE: Final = Body("backup", (
    Property("volume_id", schema.UUID, required=ALWAYS), Property("snapshot_id", schema.ID_OR_NULL),
    Property("name", schema.NAME_OR_NULL), Property("description", schema.DESCRIPTION),
    Property("container", schema.NAME_OR_NULL), Property("incremental", schema.BOOLEAN),
    Property("force", schema.BOOLEAN), Property("metadata", _METADATA_OR_NULL, _WITH_METADATA),
    Property("availability_zone", schema.NAME_OR_NULL, _WITH_ZONE)))
_UPDATE: Final = Body("backup", (
    Property("name", schema.NAME_OR_NULL), Property("description", schema.DESCRIPTION),
    Property("metadata", schema.METADATA, _WITH_METADATA)))
_RESTORE: Final = bodies.compile_schema({
    "type": "object", "required": ["restore"], "additionalProperties": False, "properties": {"restore": {
        "type": ["object", "null"], "additionalProperties": False,
        "properties": {"name": schema.NAME_OR_NULL, "volume_id": schema.ID_OR_NULL}}}})
_ACTION: Final = bodies.compile_schema({
    "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False, "properties": {
        "os-reset_status": {"type": "object", "required": ["status"], "additionalProperties": False,
                            "properties": {"status": schema.TEXT}},
        "os-force_delete": {}}})


def brief_view(row: Any, base: str) -> dict[str, Any]:
    """Return a backup as lists show it."""
    return {"id": row.id, "name": row.name, "links": queries.links_of(base, f"/backups/{row.id}")}


def full_view(services: Services, context: RequestContext, row: Any, base: str, version: Version) -> dict[str, Any]:
    """Return a backup as the version shows it."""
    shown: dict[str, Any] = {
        **brief_view(row, base), "status": row.status, "size": row.size_gib, "object_count": row.object_count,
        "availability_zone": row.zone, "container": row.container, "created_at": clock.iso_micro(row.created_at),
        "updated_at": clock.iso_micro(row.updated_at), "description": row.description,
        "fail_reason": (row.fault or {}).get("message"), "volume_id": row.volume_id, "snapshot_id": row.snapshot_id,
        "is_incremental": row.parent_id is not None, "has_dependent_backups": bool(row.has_heirs),
        "data_timestamp": clock.iso_micro(row.data_at or row.created_at)}
    if version in _WITH_METADATA:
        shown["metadata"] = row.extra
    if services.policy.allows(context, "backup:backup_project_attribute", volume_rows.target_of(row)):
        if version in _WITH_PROJECT:
            shown["os-backup-project-attr:project_id"] = ids.bare(row.project_id)
        if version in _WITH_USER:
            shown["user_id"] = ids.bare(row.user_id)
    return shown


class BackupsDetail(Resource):
    """GET /backups/detail."""

    path = "/backups/detail"

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        context = params.caller(request)
        query = queries.query_of(request, self.services, LISTED)
        page = BACKUPS.list_page(self.services, context, query)
        response.media = queries.body_of(request, self.services, page, member="backups", path=self.path,
                                       view=lambda row: self._view(request, context, row))

    def _view(self, request: falcon.Request, context: RequestContext, row: Any) -> dict[str, Any]:
        return full_view(self.services, context, row, params.base_of(self.conf, request), request.context.version)


class Backups(BackupsDetail):
    """GET and POST /backups."""

    path = "/backups"

    def _view(self, request: falcon.Request, _context: RequestContext, row: Any) -> dict[str, Any]:
        return brief_view(row, params.base_of(self.conf, request))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        body = _CREATE.read(request)
        context = params.caller(request)
        backup_id = backup_create.create(self.services, context, NewBackup(
            volume_id=body["volume_id"], snapshot_id=body.get("snapshot_id"), name=schema.trimmed(body.get("name")),
            incremental=schema.truth(body.get("incremental")), force=schema.truth(body.get("force")),
            description=body.get("description"), container=body.get("container") or None,
            zone=body.get("availability_zone") or None, metadata=body.get("metadata") or {}))
        row = BACKUPS.show(self.services, context, backup_id)
        response.status = 202
        response.media = {"backup": brief_view(row, params.base_of(self.conf, request))}


class BackupItem(Resource):
    """GET, PUT, DELETE /backups/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, backup_id: str) -> None:
        """Show."""
        context = params.caller(request)
        row = BACKUPS.show(self.services, context, backup_id)
        response.media = {"backup": full_view(self.services, context, row, params.base_of(self.conf, request),
                                              request.context.version)}

    @available(since(9))
    def on_put(self, request: falcon.Request, response: falcon.Response, backup_id: str) -> None:
        """Change name, description or metadata."""
        body = _UPDATE.read(request)
        context = params.caller(request)
        if not body:
            raise errors.Invalid(reason="Missing updates: give name, description or metadata.")
        values: dict[str, Any] = {}
        if "name" in body:
            values["name"] = schema.trimmed(body["name"])
        if "description" in body:
            values["description"] = body["description"]
        if "metadata" in body:
            values["extra"] = body["metadata"]
        backups.update(self.services, context, backup_id, values)
        row = BACKUPS.show(self.services, context, backup_id)
        response.media = {"backup": brief_view(row, params.base_of(self.conf, request))}

    def on_delete(self, request: falcon.Request, response: falcon.Response, backup_id: str) -> None:
        """Delete."""
        BACKUPS.delete(self.services, params.caller(request), backup_id)
        response.status = 202


class BackupRestore(Resource):
    """POST /backups/{id}/restore."""

    def on_post(self, request: falcon.Request, response: falcon.Response, backup_id: str) -> None:
        """Restore to an existing volume, else to a new one."""
        body: dict[str, Any] = bodies.read_json(request)
        _RESTORE(body)
        wanted = body["restore"] or {}
        context = params.caller(request)
        if wanted.get("volume_id"):
            done = backups.restore_to(self.services, context, backup_id, wanted["volume_id"])
        else:
            done = backup_restore.restore_to_new(self.services, context, backup_id, schema.trimmed(wanted.get("name")))
        response.status = 202
        response.media = {"restore": {"backup_id": backup_id, "volume_id": done.volume_id,
                                      "volume_name": done.volume_name}}


class BackupAction(Resource):
    """POST /backups/{id}/action."""

    def on_post(self, request: falcon.Request, response: falcon.Response, backup_id: str) -> None:
        """Do one of the actions."""
        body: dict[str, Any] = bodies.read_json(request)
        _ACTION(body)
        ((action, argument),) = body.items()
        context = params.caller(request)
        if action == "os-reset_status":
            backups.reset_status(self.services, context, backup_id, argument["status"].strip().lower())
        else:
            BACKUPS.force_delete(self.services, context, backup_id)
        response.status = 202


class ExportRecord(Resource):
    """GET /backups/{id}/export_record."""

    def on_get(self, request: falcon.Request, _response: falcon.Response, backup_id: str) -> None:
        """Refuse."""
        BACKUPS.show(self.services, params.caller(request), backup_id, action="backup:export-import")
        raise errors.NotImplementedHere(feature="Exporting backup records")


class ImportRecord(Resource):
    """POST /backups/import_record."""

    def on_post(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Refuse."""
        self.services.policy.check(params.caller(request), "backup:backup-import")
        bodies.read_json(request)
        raise errors.NotImplementedHere(feature="Importing backup records")


class ExportRecords(ImportRecord):
    """POST /backups/export_record: how openstacksdk asks for an import."""


ROUTES = (("/backups", Backups), ("/backups/detail", BackupsDetail), ("/backups/import_record", ImportRecord),
          ("/backups/export_record", ExportRecords), ("/backups/{backup_id}", BackupItem),
          ("/backups/{backup_id}/restore", BackupRestore), ("/backups/{backup_id}/action", BackupAction),
          ("/backups/{backup_id}/export_record", ExportRecord))
