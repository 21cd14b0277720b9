"""The published face of user messages, and of which filters lists know."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api.core.volume import messages as volume_messages
from api.microversions import ALWAYS
from api.openstack.resource import Resource
from api.openstack.volume import lists, params
from api.openstack.volume.microversion import available, since
from hostler import clock, errors
from hostler.db.models import Operation

_EXIST: Final = since(3)
_FILTERS: Final = dict.fromkeys(("resource_uuid", "resource_type", "request_id", "event_id", "message_level"),
                                since(5))
# What the lists of this face can be filtered by.
RESOURCE_FILTERS: Final = {
    "volume": ["name", "status", "metadata", "bootable", "migration_status", "availability_zone", "size",
               "created_at", "updated_at"],
    "backup": ["name", "status", "volume_id"],
    "snapshot": ["name", "status", "volume_id", "metadata", "availability_zone"],
    "group": [], "group_snapshot": [],
    "attachment": ["volume_id", "status", "instance_id", "attach_status"],
    "message": ["resource_uuid", "resource_type", "event_id", "request_id", "message_level"],
    "pool": ["name", "volume_type"],
    "volume_type": ["is_public", "extra_specs"],
}


def view(row: Operation, base: str) -> dict[str, Any]:
    """Return the message about a failed operation."""
    return {"id": row.id, "event_id": volume_messages.event_of(row.kind), "message_level": "ERROR",
            "user_message": f"{row.kind}: {row.message or 'The operation failed.'}",
            "created_at": clock.iso_micro(row.finished_at or row.created_at), "guaranteed_until": None,
            "request_id": row.request_id, "resource_type": row.resource_type.upper(), "resource_uuid": row.resource_id,
            "links": lists.links_of(base, f"/messages/{row.id}")}


class Messages(Resource):
    """GET /messages."""

    @available(_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        query = lists.query_of(request, self.services, _FILTERS, sortable=volume_messages.SORT_COLUMNS,
                               everywhere=None)
        page = volume_messages.list_messages(self.services, params.caller(request), query)
        base = params.base_of(self.conf, request)
        response.media = lists.body_of(request, self.services, page, member="messages", path="/messages",
                                       view=lambda row: view(row, base))


class MessageItem(Resource):
    """GET and DELETE /messages/{id}."""

    @available(_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response, message_id: str) -> None:
        """Show."""
        row = volume_messages.show(self.services, params.caller(request), message_id)
        response.media = {"message": view(row, params.base_of(self.conf, request))}

    @available(_EXIST)
    def on_delete(self, request: falcon.Request, _response: falcon.Response, message_id: str) -> None:
        """Refuse."""
        volume_messages.delete(self.services, params.caller(request), message_id)


class ResourceFilters(Resource):
    """GET /resource_filters."""

    @available(since(33))
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List, or one resource's."""
        params.caller(request)
        wanted = params.one(params.read(request, {"resource": ALWAYS}), "resource")
        if wanted is not None and wanted not in RESOURCE_FILTERS:
            raise errors.Invalid(reason=f"Unknown resource {wanted[:80]}.")
        response.media = {"resource_filters": [
            {"resource": name, "filters": filters} for name, filters in RESOURCE_FILTERS.items()
            if wanted in (None, name)]}


ROUTES = (("/messages", Messages), ("/messages/{message_id}", MessageItem), ("/resource_filters", ResourceFilters))
