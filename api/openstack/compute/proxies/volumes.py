"""The published face of volumes and snapshots in the Compute API: /os-volumes and /os-snapshots until 2.35."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import falcon

from api.core.volume import create_flow, snapshots, volumes
from api.core.volume import list as volume_list
from api.core.volume.create import NewVolume
from api.core.volume.rows import Attached
from api.core.volume.snapshots import SNAPSHOTS
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, PROXIES, available
from api.openstack.compute.proxies.refusals import conflicts_as
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from hostler import clock, errors
from hostler.context import RequestContext

_POLICY: Final = "os_compute_api:os-volumes:"
_NEWEST_FIRST: Final = (("created_at", True),)
_TEXT: Final = {"type": "string", "maxLength": 255}
_WORDS: Final = (Property("display_name", _TEXT), Property("display_description", _TEXT))
_CREATE: Final = Body("volume", (
    *_WORDS, Property("size", schema.whole_number(1), required=ALWAYS), Property("volume_type", _TEXT),
    Property("snapshot_id", _TEXT), Property("availability_zone", _TEXT), Property("metadata", schema.METADATA)))
_CREATE_SNAPSHOT: Final = Body("snapshot", (
    *_WORDS, Property("volume_id", _TEXT, required=ALWAYS), Property("force", schema.BOOLEAN)))


def volume_view(row: Any, attachments: Sequence[Attached]) -> dict[str, Any]:
    """Return a volume; of its attachments the first, and an empty one when there is none."""
    return {"id": row.id, "status": row.status, "size": row.size_gib, "availabilityZone": row.zone,
            "createdAt": clock.iso_micro(row.created_at), "displayName": row.name,
            "displayDescription": row.description, "volumeType": row.type_name or row.volume_type_id,
            "snapshotId": row.snapshot_id, "metadata": row.extra,
            "attachments": [_attachment(attached) for attached in attachments[:1]] or [{}]}


def _attachment(attached: Attached) -> dict[str, Any]:
    view = {"id": attached.volume_id, "volumeId": attached.volume_id, "serverId": attached.server_id}
    return {**view, "device": f"/dev/{attached.device.removeprefix('/dev/')}"} if attached.device else view


def snapshot_view(row: Any) -> dict[str, Any]:
    """Return a snapshot."""
    return {"id": row.id, "volumeId": row.volume_id, "status": row.status, "size": row.size_gib,
            "createdAt": clock.iso_micro(row.created_at), "displayName": row.name,
            "displayDescription": row.description}


class StorageResource(Resource):
    """A resource that shows what the Block Storage API has."""

    def allowed(self, request: falcon.Request, action: str) -> RequestContext:
        """Return who asks; raises Forbidden unless the policy allows `action`."""
        context = params.caller(request)
        self.services.policy.check(context, _POLICY + action)
        return context


class VolumesDetail(StorageResource):
    """GET /os-volumes/detail."""

    action = "detail"

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the project's."""
        context = self.allowed(request, self.action)
        query = params.slice_of(request, self.conf, sort=_NEWEST_FIRST, project_id=context.project_id)
        page, attachments = volume_list.list_volumes(self.services, context, query)
        response.media = {"volumes": [volume_view(row, attachments.get(row.id, ())) for row in page.rows]}


class Volumes(VolumesDetail):
    """GET and POST /os-volumes."""

    action = "list"

    @available(PROXIES)
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Accept a new volume."""
        context = self.allowed(request, "create")
        body = _CREATE.read(request)
        with conflicts_as(errors.Invalid):
            row = create_flow.create_volume(self.services, context, NewVolume(
                size_gib=schema.number_in(body, "size", 0, 1), name=body.get("display_name", ""),
                description=body.get("display_description"), volume_type=body.get("volume_type") or None,
                snapshot_id=body.get("snapshot_id"), zone=body.get("availability_zone") or None,
                metadata=body.get("metadata", {})))
        response.media = {"volume": volume_view(row, ())}
        response.set_header("Location", f"{params.base_of(self.conf, request)}{params.ROOT}/os-volumes/{row.id}")


class VolumeItem(StorageResource):
    """GET and DELETE /os-volumes/{id}."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Show."""
        response.media = {"volume": volume_view(*volumes.show(self.services, self.allowed(request, "show"), volume_id))}

    @available(PROXIES)
    def on_delete(self, request: falcon.Request, response: falcon.Response, volume_id: str) -> None:
        """Accept the deletion."""
        with conflicts_as(errors.Invalid):
            volumes.delete(self.services, self.allowed(request, "delete"), volume_id)
        response.status = 202


class SnapshotsDetail(StorageResource):
    """GET /os-snapshots/detail."""

    action = "snapshots:detail"

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the project's."""
        context = self.allowed(request, self.action)
        query = params.slice_of(request, self.conf, sort=_NEWEST_FIRST, project_id=context.project_id)
        response.media = {"snapshots": [snapshot_view(row) for row in SNAPSHOTS.list_page(
            self.services, context, query).rows]}


class Snapshots(SnapshotsDetail):
    """GET and POST /os-snapshots."""

    action = "snapshots:list"

    @available(PROXIES)
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Accept a new snapshot."""
        context = self.allowed(request, "snapshots:create")
        body = _CREATE_SNAPSHOT.read(request)
        with conflicts_as(errors.Invalid):
            snapshot_id = snapshots.create(
                self.services, context, body["volume_id"], name=body.get("display_name", ""),
                description=body.get("display_description"), metadata={}, force=schema.truth(body.get("force")))
        response.media = {"snapshot": snapshot_view(SNAPSHOTS.show(self.services, context, snapshot_id))}


class SnapshotItem(StorageResource):
    """GET and DELETE /os-snapshots/{id}."""

    @available(PROXIES)
    def on_get(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Show."""
        response.media = {"snapshot": snapshot_view(SNAPSHOTS.show(
            self.services, self.allowed(request, "snapshots:show"), snapshot_id))}

    @available(PROXIES)
    def on_delete(self, request: falcon.Request, response: falcon.Response, snapshot_id: str) -> None:
        """Accept the deletion."""
        with conflicts_as(errors.Invalid):
            SNAPSHOTS.delete(self.services, self.allowed(request, "snapshots:delete"), snapshot_id)
        response.status = 202


ROUTES: Final = (
    ("/os-volumes", Volumes), ("/os-volumes/detail", VolumesDetail), ("/os-volumes/{volume_id}", VolumeItem),
    ("/os-snapshots", Snapshots), ("/os-snapshots/detail", SnapshotsDetail),
    ("/os-snapshots/{snapshot_id}", SnapshotItem))
