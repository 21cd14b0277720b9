"""The published face of attachments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import attachments
from api.core.volume import rows as volume_rows
from api.core.volume.attachments import NewAttachment
from api.microversions import ALWAYS
from api.openstack.resource import Resource
from api.openstack.volume import params, queries, schema
from api.openstack.volume.microversion import available, since
from api.openstack.volume.queries import Listed
from api.openstack.volume.schema import Body, Property
from api.services import Services
from hostler import clock
from hostler.context import RequestContext
from hostler.query import text
from hostler.query.expressions import Compare, Expression, Operator
from hostler.resources.volume import states

_EXIST: Final = since(27)
_COMPLETE: Final = since(44)
_SECRETS: Final = ("key",)


def _status(_name: str, values: Sequence[str]) -> Expression:
    return Compare("state", Operator.EQ, states.RESERVED if values[-1] == states.ATTACHING else values[-1])


LISTED: Final = Listed(
    everywhere="volume:get_all_attachments:all_projects",
    published=("volume_id", "status", "instance_id", "attach_status"),
    filters={"volume_id": text.last("volume_id"), "instance_id": text.last("instance_id"), "status": _status,
             "attach_status": _status},
    sortable={"instance_uuid": "instance_id", "status": "state", "attach_status": "state", "attach_time": "attached_at",
              "mountpoint": "device", "attach_mode": "mode", "id": "id", "volume_id": "volume_id",
              "created_at": "created_at"})
_CREATE: Final = Body("attachment", (
    Property("volume_uuid", schema.UUID, required=ALWAYS), Property("instance_uuid", schema.ID_OR_NULL),
    Property("connector", {"type": ["object", "null"]}), Property("mode", {"enum": ["rw", "ro"]}, since(54))))
_UPDATE: Final = Body("attachment", (
    Property("connector", {"type": "object", "minProperties": 1}, required=ALWAYS),))
_ACTION: Final = bodies.compile_schema({"type": "object", "required": ["os-complete"], "additionalProperties": False,
                                        "properties": {"os-complete": {}}})


def brief_view(row: Any) -> dict[str, Any]:
    """Return an attachment as lists show it."""
    return {"id": row.id, "status": attachments.status_of(row), "instance": row.instance, "volume_id": row.volume_id}


def full_view(services: Services, context: RequestContext, row: Any) -> dict[str, Any]:
    """Return an attachment with how it reaches its volume, as far as the caller may know."""
    at = clock.iso_micro(row.attached_at) or ""
    return {**brief_view(row), "attached_at": at, "detached_at": "", "attach_mode": row.mode,
            "connection_info": _connection_view(services, context, row)}


def _connection_view(services: Services, context: RequestContext, row: Any) -> dict[str, Any]:
    target = volume_rows.target_of(row)
    if not row.connection or row.server_id is not None:
        return {}  # a server's connection is for its host only
    if not services.policy.allows(context, "volume:attachment_update", target):
        return {}
    # A storage cluster's key opens more than this volume.
    secrets_too = services.policy.allows(context, "volume:attachment_secrets", target)
    data = {key: value for key, value in row.connection.get("data", {}).items() if secrets_too or key not in _SECRETS}
    return {**data, "driver_volume_type": row.connection.get("protocol"),
            "format": row.connection.get("format", "raw"), "access_mode": row.mode, "attachment_id": row.id,
            "encrypted": False, "qos_specs": row.connection.get("limits") or None}


class AttachmentsDetail(Resource):
    """GET /attachments/detail."""

    path = "/attachments/detail"
    detailed = True

    @available(_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        query = queries.query_of(request, self.services, LISTED)
        context = params.caller(request)
        page = attachments.list_attachments(self.services, context, query)
        response.media = queries.body_of(
            request, self.services, page, member="attachments", path=self.path,
            view=lambda row: full_view(self.services, context, row) if self.detailed else brief_view(row))


class Attachments(AttachmentsDetail):
    """GET and POST /attachments."""

    path = "/attachments"
    detailed = False

    @available(_EXIST)
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Reserve a volume, or connect it."""
        body = _CREATE.read(request)
        context = params.caller(request)
        attachment_id = attachments.create(self.services, context, NewAttachment(
            volume_id=body["volume_uuid"], instance_id=body.get("instance_uuid"), connector=body.get("connector"),
            mode=body.get("mode")))
        row = attachments.show(self.services, context, attachment_id)
        response.media = {"attachment": full_view(self.services, context, row)}


class AttachmentItem(Resource):
    """GET, PUT, DELETE /attachments/{id}."""

    @available(_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response, attachment_id: str) -> None:
        """Show."""
        context = params.caller(request)
        row = attachments.show(self.services, context, attachment_id)
        response.media = {"attachment": full_view(self.services, context, row)}

    @available(_EXIST)
    def on_put(self, request: falcon.Request, response: falcon.Response, attachment_id: str) -> None:
        """Connect."""
        body = _UPDATE.read(request)
        context = params.caller(request)
        attachments.update(self.services, context, attachment_id, body["connector"])
        row = attachments.show(self.services, context, attachment_id)
        response.media = {"attachment": full_view(self.services, context, row)}

    @available(_EXIST)
    def on_delete(self, request: falcon.Request, response: falcon.Response, attachment_id: str) -> None:
        """End; answers with the volume's other attachments."""
        left = attachments.delete(self.services, params.caller(request), attachment_id)
        response.media = {"attachments": [brief_view(row) for row in left]}


class AttachmentAction(Resource):
    """POST /attachments/{id}/action: os-complete."""

    @available(_COMPLETE)
    def on_post(self, request: falcon.Request, response: falcon.Response, attachment_id: str) -> None:
        """Say that the volume is attached."""
        _ACTION(bodies.read_json(request))
        attachments.complete(self.services, params.caller(request), attachment_id)
        response.status = 204


ROUTES = (("/attachments", Attachments), ("/attachments/detail", AttachmentsDetail),
          ("/attachments/{attachment_id}", AttachmentItem), ("/attachments/{attachment_id}/action", AttachmentAction))
