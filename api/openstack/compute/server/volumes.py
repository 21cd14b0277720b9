"""The published face of a server's volumes: /servers/{id}/os-volume_attachments."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.core.server import servers
from api.core.server import volumes as server_volumes
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Version, since, until
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler import errors, ids
from hostler.db.models import VolumeAttachment

_DEVICE: Final = {"type": ["string", "null"], "pattern": "(^/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$"}
_CREATE = Body("volumeAttachment", (
    Property("volumeId", schema.UUID, required=ALWAYS), Property("device", _DEVICE),
    Property("tag", schema.TAG, since(49)), Property("delete_on_termination", schema.BOOLEAN, since(79))))
_UPDATE = Body("volumeAttachment", (
    Property("volumeId", schema.UUID, required=ALWAYS), Property("device", _DEVICE, since(85)),
    Property("tag", schema.TAG, since(85)), Property("delete_on_termination", schema.BOOLEAN, since(85)),
    Property("serverId", schema.UUID, since(85)), Property("id", schema.UUID, since(85))))
_PAGED: Final = {"limit": ALWAYS, "offset": ALWAYS}
_TAGGED, _WITH_DELETION, _WITH_IDS = since(70), since(79), since(89)
_ONLY_SWAP = until(84)


def attachment_view(attachment: VolumeAttachment, version: Version, *, created: bool = False) -> dict[str, Any]:
    """Return an attachment; the answer to a create (`created`) has the old id and always the device."""
    view: dict[str, Any] = {"volumeId": attachment.volume_id, "serverId": attachment.server_id}
    if attachment.device or created:
        view["device"] = f"/dev/{attachment.device}" if attachment.device else None
    if version in _TAGGED:
        view["tag"] = attachment.tag
    if version in _WITH_DELETION:
        view["delete_on_termination"] = attachment.delete_on_termination
    if version in _WITH_IDS and not created:
        return {**view, "attachment_id": attachment.id, "bdm_uuid": attachment.id}
    return {**view, "id": attachment.volume_id}


class VolumeAttachments(Resource):
    """GET and POST /servers/{id}/os-volume_attachments."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """List."""
        found = params.read(request, _PAGED)
        limit = params.number(found, "limit", self.conf.api.max_limit) or self.conf.api.max_limit
        offset = params.number(found, "offset")
        rows = server_volumes.list_attachments(self.services, params.caller(request), server_id, limit=limit,
                                               offset=offset)
        response.media = {"volumeAttachments": [attachment_view(row, request.context.version) for row in rows]}

    def on_post(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Accept that the server gets a volume."""
        body = _CREATE.read(request)
        version = request.context.version
        attachment = server_volumes.attach(
            self.services, params.caller(request), server_id, body["volumeId"], device=body.get("device"),
            tag=body.get("tag"), delete_on_termination=schema.truth(body.get("delete_on_termination")),
            multiattach_refusal=params.multiattach_refusal(version))
        response.media = {"volumeAttachment": attachment_view(attachment, version, created=True)}


class VolumeAttachmentItem(Resource):
    """GET, PUT and DELETE /servers/{id}/os-volume_attachments/{volume}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str, volume_id: str) -> None:
        """Show."""
        found = server_volumes.show(self.services, params.caller(request), server_id, volume_id)
        response.media = {"volumeAttachment": attachment_view(found, request.context.version)}

    def on_put(self, request: falcon.Request, response: falcon.Response, server_id: str, volume_id: str) -> None:
        """Set whether the volume is deleted with the server; swapping volumes is not supported yet."""
        body = _UPDATE.read(request)
        context = params.caller(request)
        swaps = request.context.version in _ONLY_SWAP or ids.canonical(body["volumeId"]) != ids.canonical(volume_id)
        if swaps:
            servers.authorised(self.services, context, server_id, "os_compute_api:os-volumes-attachments:update")
        found = server_volumes.show(self.services, context, server_id, volume_id)
        if swaps:
            raise errors.NotImplementedHere(feature="Swapping a server's volume for another one")
        _refuse_changes(found, body)
        doomed = schema.truth(body["delete_on_termination"]) if "delete_on_termination" in body else None
        server_volumes.update(self.services, context, server_id, volume_id, delete_on_termination=doomed)
        response.status = 202

    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str, volume_id: str) -> None:
        """Accept that the server gives the volume back."""
        server_volumes.detach(self.services, params.caller(request), server_id, volume_id)
        response.status = 202


def _refuse_changes(found: VolumeAttachment, body: dict[str, Any]) -> None:
    """Raise Invalid when a read-only member of the attachment was changed."""
    present = {"device": f"/dev/{found.device}" if found.device else None, "tag": found.tag,
               "serverId": found.server_id, "id": found.id}
    for name, value in present.items():
        sent = body.get(name, value)
        if sent != value and (ids.canonical(str(sent)) or sent) != value:
            raise errors.Invalid(reason=f"The '{name}' of a volume attachment cannot be changed.")
