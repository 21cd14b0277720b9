"""The published face of volumes: create, list, detail, summary, show, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import create_flow as volume_create_flow
from api.core.volume import list as volume_list
from api.core.volume import volumes
from api.core.volume.create import NewVolume
from api.openstack.resource import Resource
from api.openstack.volume import params, queries, schema
from api.openstack.volume.microversion import ALWAYS, available, since
from api.openstack.volume.queries import Listed
from api.openstack.volume.schema import Body, Property
from api.openstack.volume.views import VolumeView, audience_of, own_view, summary_view
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.query import text
from hostler.query.expressions import EVERYTHING, NOTHING, And, Compare, Expression, Operator, Or

ALL_PROJECTS: Final = "volume:get_all:all_projects"
_HINTS: Final[dict[str, Any]] = {
    "type": ["object", "null"], "properties": {
        "local_to_instance": schema.ID_OR_NULL, "query": {"type": ["string", "object"]},
        **{name: {"anyOf": [schema.UUID, {"type": "array", "items": schema.UUID, "uniqueItems": True}]}
           for name in ("same_host", "different_host")}}}
_SIZE: Final[dict[str, Any]] = {"anyOf": [schema.whole_number(1), {"type": "null"}]}
_FLAG_OR_NULL: Final[dict[str, Any]] = {"anyOf": [schema.BOOLEAN, {"type": "null"}]}
_STRICT: Final = since(53)
_WORDS: Final = (Property("name", schema.NAME_OR_NULL), Property("description", schema.DESCRIPTION),
                 Property("display_name", schema.NAME_OR_NULL),
                 Property("display_description", schema.DESCRIPTION))
_CREATE: Final = Body("volume", (
    *_WORDS, Property("size", _SIZE), Property("volume_type", schema.NAME_OR_NULL),
    Property("metadata", {**schema.METADATA, "type": ["object", "null"]}),
    Property("snapshot_id", schema.ID_OR_NULL), Property("source_volid", schema.ID_OR_NULL),
    Property("consistencygroup_id", schema.ID_OR_NULL),
    Property("availability_zone", {**schema.NAME_OR_NULL, "minLength": 1}),
    Property("multiattach", _FLAG_OR_NULL), Property("image_id", schema.NAME_OR_NULL),
    Property("imageRef", schema.NAME_OR_NULL), Property("group_id", schema.NAME_OR_NULL, since(13)),
    Property("backup_id", schema.ID_OR_NULL, since(47)),
), beside=(Property("OS-SCH-HNT:scheduler_hints", _HINTS),), strict=_STRICT)
_UPDATE: Final = Body("volume", (*_WORDS, Property("metadata", schema.METADATA)))
_COLUMNS: Final = {"display_name": "name", "name": "name", "display_description": "description",
                   "description": "description"}


def _host(_name: str, values: Sequence[str]) -> Expression:
    node, _, backend = values[-1].partition("#")[0].partition("@")
    at_node = Compare("node_name", Operator.EQ, node)
    return And((at_node, Compare("backend_name", Operator.EQ, backend))) if backend else at_node


def _volume_type(_name: str, values: Sequence[str]) -> Expression:
    return Or((Compare("type_name", Operator.EQ, values[-1]), Compare("volume_type_id", Operator.EQ, values[-1])))


def _constant(current: bool) -> text.Filter:
    """Filter on something that is the same for every volume here: it keeps all or none."""
    def make(name: str, values: Sequence[str]) -> Expression:
        try:
            return EVERYTHING if params.truth(name, values[-1]) == current else NOTHING
        except errors.InvalidField:
            return NOTHING
    return make


LISTED: Final = Listed(
    everywhere=ALL_PROJECTS, published=("name", "status", "metadata", "bootable", "migration_status",
                                        "availability_zone", "group_id", "size", "created_at", "updated_at",
                                        "consumes_quota"), filters={
        **{name: text.last(name) for name in (
            "name", "description", "id", "status", "bootable", "multiattach", "volume_type_id", "user_id",
            "snapshot_id", "image_id", "attach_status", "migration_status")},
        **queries.likes(name="name", description="description", status="status", availability_zone="zone"),
        "display_name": text.last("name"), "size": text.last("size_gib"), "metadata": text.items("metadata"),
        "glance_metadata": text.items("image_metadata"), "availability_zone": text.last("zone"),
        "volume_type": _volume_type, "source_volid": text.last("source_volume_id"), "host": _host,
        "created_at": text.times("created_at"), "updated_at": text.times("updated_at"), "encrypted": _constant(False),
        "consumes_quota": _constant(True), "group_id": text.fixed(NOTHING), "consistencygroup_id": text.fixed(NOTHING)},
    later={"glance_metadata": since(4), "group_id": since(10), "created_at": since(60), "updated_at": since(60),
           "consumes_quota": since(65)},
    sortable={"display_name": "name", "size": "size_gib", "availability_zone": "zone", "volume_type": "type_name",
              "host": "node_name", **{name: name for name in (
                  "id", "name", "created_at", "updated_at", "status", "bootable", "multiattach", "project_id",
                  "user_id", "launched_at", "volume_type_id", "description", "snapshot_id")}})
_FORCEFUL: Final = since(23)


class Volumes(Resource):
    """GET and POST /volumes."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List ids and names."""
        context = params.caller(request)
        query = queries.query_of(request, self.services, LISTED)
        page = volume_list.list_names(self.services, context, query)
        response.media = queries.body_of(request, self.services, page, member="volumes", path="/volumes",
                                       view=view_for(self, request, context).brief)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Accept a new volume."""
        context = params.caller(request)
        new = _new_volume(request)
        row = volume_create_flow.create_volume(self.services, context, new)
        response.status = 202
        response.media = {"volume": view_for(self, request, context).changed(row, ())}


class VolumesDetail(Resource):
    """GET /volumes/detail."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List with details."""
        context = params.caller(request)
        query = queries.query_of(request, self.services, LISTED)
        page, attachments = volume_list.list_volumes(self.services, context, query)
        view = view_for(self, request, context)
        response.media = queries.body_of(request, self.services, page, member="volumes", path="/volumes/detail",
                                       view=lambda row: view.detail(row, attachments.get(row.id, ())))


class VolumesSummary(Resource):
    """GET /volumes/summary."""

    @available(since(12))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Sum up."""
        context = params.caller(request)
        query = queries.query_of(request, self.services, LISTED)
        summary = volume_list.summarize(self.services, context, query)
        response.media = summary_view(summary, request.context.version)


class VolumeItem(Resource):
    """GET, PUT, DELETE /volumes/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Show."""
        context = params.caller(request)
        row, attachments = volumes.show(self.services, context, volume_id)
        response.media = {"volume": view_for(self, request, context).detail(row, attachments)}

    def on_put(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Change name, description or metadata."""
        body = _UPDATE.read(request)
        if not body and request.context.version in _STRICT:
            raise errors.Invalid(reason="At least one of name, description and metadata is required.")
        values: dict[str, Any] = {_COLUMNS[key]: _words(key, body[key]) for key in _COLUMNS if key in body}
        if "metadata" in body:
            values["extra"] = body["metadata"]
        context = params.caller(request)
        volumes.update(self.services, context, volume_id, values)
        row, attachments = volumes.show(self.services, context, volume_id)
        response.media = {"volume": view_for(self, request, context).changed(row, attachments)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Accept the deletion."""
        found = params.read(request, {"cascade": ALWAYS, "force": _FORCEFUL})
        force = params.truth("force", params.one(found, "force"))
        volumes.delete(self.services, params.caller(request), volume_id,
                       cascade=params.truth("cascade", params.one(found, "cascade")),
                       force="volume:force_delete" if force else None)
        response.status = 202


class VolumeOwn(Resource):
    """GET /volumes/{id}/hostler: what the published API has no place for."""

    def on_get(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Show."""
        row, _ = volumes.show(self.services, params.caller(request), volume_id)
        response.media = own_view(row)


class VolumeEncryption(Resource):
    """GET /volumes/{id}/encryption: nothing, since no volume of this cloud is encrypted."""

    def on_get(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Show."""
        volumes.authorised(self.services, params.caller(request), volume_id, "volume:get")
        response.media = {}


def view_for(resource: Resource, request: falcon.Request, context: RequestContext) -> VolumeView:
    """Return the writer of volumes for this request."""
    return VolumeView(params.base_of(resource.conf, request), request.context.version,
                      audience_of(resource.services, context))


def _new_volume(request: falcon.Request) -> NewVolume:
    body = bodies.read_json(request)
    volume = _CREATE.check(request.context.version, body)
    if schema.truth(volume.get("multiattach")):
        raise errors.Invalid(reason="multiattach cannot be asked for by itself: use a volume type whose extra spec "
                                    "multiattach is '<is> True'.")
    size = volume.get("size")
    return NewVolume(
        size_gib=None if size is None else schema.number_in(volume, "size", 0, 1),
        name=schema.trimmed(volume.get("name") or volume.get("display_name")),
        description=_words("description", volume.get("description") or volume.get("display_description")),
        volume_type=volume.get("volume_type") or None, snapshot_id=volume.get("snapshot_id"),
        image_id=volume.get("image_id") or volume.get("imageRef") or None,
        source_volume_id=volume.get("source_volid"), backup_id=volume.get("backup_id"),
        zone=volume.get("availability_zone") or None, metadata=volume.get("metadata") or {},
        scheduler_hints=_hints(body.get("OS-SCH-HNT:scheduler_hints") or {}),
        group_id=volume.get("group_id") or volume.get("consistencygroup_id") or None,
        idempotency_key=request.get_header("Idempotency-Key"))


def _hints(given: dict[str, Any]) -> dict[str, Any]:
    """Return the hints with ids in our spelling."""
    hints = dict(given)
    for name in ("same_host", "different_host"):
        if name in hints:
            wanted = hints[name] if isinstance(hints[name], list) else [hints[name]]
            hints[name] = [ids.canonical(item) for item in wanted]
    return hints


def _words(key: str, text: str | None) -> str | None:
    """Return a name or description as it is kept."""
    if text is None and _COLUMNS[key] == "description":
        return None
    return schema.trimmed(text)


ROUTES = (
    ("/volumes", Volumes), ("/volumes/detail", VolumesDetail), ("/volumes/summary", VolumesSummary),
    ("/volumes/{volume_id}", VolumeItem), ("/volumes/{volume_id}/encryption", VolumeEncryption),
    ("/volumes/{volume_id}/hostler", VolumeOwn),
)
