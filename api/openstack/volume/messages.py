"""The published face of user messages, and of which filters lists know."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import falcon

from api.core.volume import messages as volume_messages
from api.microversions import ALWAYS
from api.openstack.resource import Resource
from api.openstack.volume import attachments, backups, params, queries, snapshots, types, volumes
from api.openstack.volume.microversion import available, since
from api.openstack.volume.queries import Listed
from api.openstack.volume.services import POOL_FILTERS
from hostler import clock, errors
from hostler.db.models import Operation
from hostler.query import text
from hostler.query.expressions import Compare, Expression, Operator

_EXIST: Final = since(3)


def _event(_name: str, values: Sequence[str]) -> Expression:
    return Compare("kind", Operator.EQ, volume_messages.kind_of(values[-1]))


def _resource_type(_name: str, values: Sequence[str]) -> Expression:
    return Compare("resource_type", Operator.EQ, values[-1].lower())


_KEPT: Final = dt.timedelta(days=30)  # the published API's default; a purge with an earlier day takes them sooner
LISTED: Final = Listed(
    published=("resource_uuid", "resource_type", "event_id", "request_id", "message_level"),
    filters={"resource_uuid": text.last("resource_id"), "resource_type": _resource_type,
             "request_id": text.last("request_id"), "event_id": _event, "message_level": text.last("level")},
    later=dict.fromkeys(("resource_uuid", "resource_type", "request_id", "event_id", "message_level"), since(5)),
    sortable={"id": "id", "event_id": "kind", "resource_type": "resource_type", "resource_uuid": "resource_id",
              "request_id": "request_id", "created_at": "created_at", "message_level": "state",
              "guaranteed_until": "created_at"})
# What the lists of this face can be filtered by.
RESOURCE_FILTERS: Final = {
    **{name: list(listed.published) for name, listed in (
        ("volume", volumes.LISTED), ("backup", backups.LISTED), ("snapshot", snapshots.LISTED),
        ("attachment", attachments.LISTED), ("message", LISTED), ("volume_type", types.LISTED))},
    "group": [], "group_snapshot": [], "pool": list(POOL_FILTERS)}


def view(row: Operation, base: str) -> dict[str, Any]:
    """Return the message about a failed operation."""
    at = row.finished_at or row.created_at
    return {"id": row.id, "event_id": volume_messages.event_of(row.kind), "message_level": "ERROR",
            "user_message": f"{row.kind}: {row.message or 'The operation failed.'}",
            "created_at": clock.iso_micro(at), "guaranteed_until": clock.iso_micro(at + _KEPT),
            "request_id": row.request_id, "resource_type": row.resource_type.upper(), "resource_uuid": row.resource_id,
            "links": queries.links_of(base, f"/messages/{row.id}")}


class Messages(Resource):
    """GET /messages."""

    @available(_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        query = queries.query_of(request, self.services, LISTED)
        page = volume_messages.list_messages(self.services, params.caller(request), query)
        base = params.base_of(self.conf, request)
        response.media = queries.body_of(request, self.services, page, member="messages", path="/messages",
                                       view=lambda row: view(row, base))


class MessageItem(Resource):
    """GET and DELETE /messages/{id}."""

    @available(_EXIST)
    def on_get(self, request: falcon.Request, response: falcon.Response, message_id: str) -> None:
        """Show."""
        row = volume_messages.show(self.services, params.caller(request), message_id)
        response.media = {"message": view(row, params.base_of(self.conf, request))}

    @available(_EXIST)
    def on_delete(self, request: falcon.Request, response: falcon.Response, message_id: str) -> None:
        """Delete."""
        volume_messages.delete(self.services, params.caller(request), message_id)
        response.status = 204


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
