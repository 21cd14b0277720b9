"""The published face of snapshots: list, create, show, update, delete, and their actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import rows as volume_rows
from api.core.volume import snapshots
from api.core.volume.snapshots import SNAPSHOTS
from api.microversions import ALWAYS, Version
from api.openstack.resource import Resource
from api.openstack.volume import params, queries, schema
from api.openstack.volume.microversion import since
from api.openstack.volume.queries import Listed
from api.openstack.volume.schema import Body, Property
from api.services import Services
from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.query import text
from hostler.query.expressions import EVERYTHING, NOTHING, Expression

_WITH_GROUP: Final = since(14)
_WITH_USER: Final = since(41)
_WITH_QUOTA: Final = since(65)
_IN_USE_UNFORCED: Final = since(66)


def _consumes_quota(name: str, values: Sequence[str]) -> Expression:
    return EVERYTHING if params.truth(name, values[-1]) else NOTHING


LISTED: Final = Listed(
    everywhere="volume:get_all_snapshots:all_projects",
    published=("name", "status", "volume_id", "metadata", "availability_zone", "consumes_quota"),
    filters={**{name: text.last(name) for name in ("name", "status", "volume_id")},
             **queries.likes(name="name", status="status"), "availability_zone": text.last("volume.zone"),
             "metadata": text.items("metadata"), "consumes_quota": _consumes_quota},
    later={"metadata": since(22), "consumes_quota": _WITH_QUOTA},
    sortable={"display_name": "name", "size": "size_gib", "volume_size": "size_gib", **{name: name for name in (
        "id", "name", "status", "description", "volume_id", "created_at", "updated_at", "project_id", "user_id")}})
_METADATA_OR_NULL: Final = {**schema.METADATA, "type": ["object", "null"]}
_CREATE: Final = Body("snapshot", (
    Property("volume_id", schema.ID_OR_NULL, required=ALWAYS), Property("name", schema.NAME_OR_NULL),
    Property("display_name", schema.NAME_OR_NULL), Property("description", schema.DESCRIPTION),
    Property("display_description", schema.DESCRIPTION), Property("metadata", _METADATA_OR_NULL),
    Property("force", {"anyOf": [schema.BOOLEAN, {"type": "null"}]})))
_UPDATE: Final = Body("snapshot", (
    Property("name", schema.NAME_OR_NULL), Property("display_name", schema.NAME_OR_NULL),
    Property("description", schema.DESCRIPTION), Property("display_description", schema.DESCRIPTION)),
    min_properties=1)
_RESET: Final = {"type": "object", "required": ["status"], "additionalProperties": False,
                 "properties": {"status": schema.TEXT}}
_UPDATE_STATUS: Final = {**_RESET, "properties": {"status": schema.TEXT, "progress": {}}}
_ACTION: Final = bodies.compile_schema({
    "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False, "properties": {
        "os-reset_status": _RESET, "os-force_delete": {}, "os-update_snapshot_status": _UPDATE_STATUS,
        "os-unmanage": {}}})


def brief_view(row: Any) -> dict[str, Any]:
    """Return a snapshot as lists show it."""
    return {
        "id": row.id, "created_at": clock.iso_micro(row.created_at), "updated_at": clock.iso_micro(row.updated_at),
        "name": row.name, "description": row.description, "volume_id": row.volume_id, "status": row.status,
        "size": row.size_gib, "metadata": row.extra}


def changed_view(row: Any, version: Version) -> dict[str, Any]:
    """Return a snapshot as the answers to POST and PUT show it: without what the reference's extension adds."""
    shown = brief_view(row)
    if version in _WITH_GROUP:
        shown["group_snapshot_id"] = None
    if version in _WITH_USER:
        shown["user_id"] = ids.bare(row.user_id)
    if version in _WITH_QUOTA:
        shown["consumes_quota"] = True
    return shown


def view(services: Services, context: RequestContext, row: Any, version: Version) -> dict[str, Any]:
    """Return a snapshot as GET shows it."""
    shown = changed_view(row, version)
    if services.policy.allows(context, "volume_extension:extended_snapshot_attributes", volume_rows.target_of(row)):
        done = 100 if row.status == "available" else row.progress or 0
        shown.update({"os-extended-snapshot-attributes:project_id": ids.bare(row.project_id),
                      "os-extended-snapshot-attributes:progress": f"{done}%"})
    return shown


class SnapshotsDetail(Resource):
    """GET /snapshots/detail."""

    path = "/snapshots/detail"
    detailed = True

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        context = params.caller(request)
        query = queries.query_of(request, self.services, LISTED)
        page = SNAPSHOTS.list_page(self.services, context, query)
        response.media = queries.body_of(
            request, self.services, page, member="snapshots", path=self.path,
            view=lambda row: (view(self.services, context, row, request.context.version) if self.detailed
                              else brief_view(row)))


class Snapshots(SnapshotsDetail):
    """GET and POST /snapshots."""

    path = "/snapshots"
    detailed = False

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        body = _CREATE.read(request)
        context, version = params.caller(request), request.context.version
        force = version in _IN_USE_UNFORCED or schema.truth(body.get("force"))
        if version in _IN_USE_UNFORCED and body.get("force") is not None and not schema.truth(body["force"]):
            raise errors.Invalid(reason="The 'force' flag was removed from the snapshot create API in microversion "
                                        "3.66: it can only be true there.")
        name = body["name"] if body.get("name") is not None else body.get("display_name")
        snapshot_id = snapshots.create(
            self.services, context, str(body["volume_id"]), name=schema.trimmed(name),
            description=body.get("description", body.get("display_description")),
            metadata=body.get("metadata") or {}, force=force)
        row = SNAPSHOTS.show(self.services, context, snapshot_id)
        response.status = 202
        response.media = {"snapshot": changed_view(row, version)}


class SnapshotItem(Resource):
    """GET, PUT, DELETE /snapshots/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Show."""
        context = params.caller(request)
        row = SNAPSHOTS.show(self.services, context, snapshot_id)
        response.media = {"snapshot": view(self.services, context, row, request.context.version)}

    def on_put(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Change name or description."""
        body = _UPDATE.read(request)
        context = params.caller(request)
        values: dict[str, Any] = {}
        for key, member in (("display_name", "name"), ("name", "name"), ("display_description", "description"),
                            ("description", "description")):
            if key in body:
                values[member] = schema.trimmed(body[key]) if member == "name" else body[key]
        snapshots.update(self.services, context, snapshot_id, values)
        row = SNAPSHOTS.show(self.services, context, snapshot_id)
        response.media = {"snapshot": changed_view(row, request.context.version)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Delete."""
        SNAPSHOTS.delete(self.services, params.caller(request), snapshot_id)
        response.status = 202


class SnapshotAction(Resource):
    """POST /snapshots/{id}/action."""

    def on_post(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Do one of the actions."""
        body: dict[str, Any] = bodies.read_json(request)
        _ACTION(body)
        ((action, argument),) = body.items()
        context = params.caller(request)
        response.status = 202
        if action == "os-reset_status":
            snapshots.reset_status(self.services, context, snapshot_id, argument["status"].strip().lower())
        elif action == "os-force_delete":
            SNAPSHOTS.force_delete(self.services, context, snapshot_id)
        elif action == "os-update_snapshot_status":
            SNAPSHOTS.show(self.services, context, snapshot_id,
                               action="snapshot_extension:snapshot_actions:update_snapshot_status")
            raise errors.NotImplementedHere(feature="Telling how a host's part of a snapshot goes (back ends make "
                                                    "snapshots by themselves): os-update_snapshot_status")
        else:
            SNAPSHOTS.show(self.services, context, snapshot_id, action="snapshot_extension:snapshot_unmanage")
            raise errors.NotImplementedHere(feature="Forgetting a snapshot without deleting it")


ROUTES = (("/snapshots", Snapshots), ("/snapshots/detail", SnapshotsDetail), ("/snapshots/{snapshot_id}", SnapshotItem),
          ("/snapshots/{snapshot_id}/action", SnapshotAction))
