"""The published face of aggregates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon

from api import bodies
from api.core.fleet import aggregates as core
from api.core.fleet.aggregates import ZONE_KEY, AggregateShown
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import ALWAYS, Version, available, since
from api.openstack.compute.schema import Body, Property
from api.openstack.resource import Resource
from api.services import Services
from hostler import clock, errors

_WITH_UUID = since(41)
_WITH_IMAGES = since(81)
# A colon would make `zone:host` ambiguous.
_ZONE = {"type": ["string", "null"], "minLength": 1, "maxLength": 255,
         "pattern": r"^[^:\x00-\x1f\x7f]*[^:\s\x00-\x1f\x7f]$"}
_CREATE = Body("aggregate", (Property("name", schema.NAME, required=ALWAYS), Property("availability_zone", _ZONE)))
_UPDATE = Body("aggregate", (Property("name", schema.NAME), Property("availability_zone", _ZONE)), min_properties=1)
_HOST = (Property("host", schema.HOST, required=ALWAYS),)
_METADATA = {"type": "object", "propertyNames": {"pattern": "^[a-zA-Z0-9-_:. ]{1,255}$"},
             "additionalProperties": {"type": ["string", "null"], "maxLength": 255}}


def view(aggregate: AggregateShown, version: Version) -> dict[str, Any]:
    """Return an aggregate as answers show it."""
    row = aggregate.row
    metadata = {**row.extra, **({ZONE_KEY: row.availability_zone} if row.availability_zone else {})}
    return {**_identity(aggregate, version), "hosts": list(aggregate.hosts), "metadata": metadata}


def _identity(aggregate: AggregateShown, version: Version) -> dict[str, Any]:
    row = aggregate.row
    shown: dict[str, Any] = {
        "id": row.id, "name": row.name, "availability_zone": row.availability_zone,
        "created_at": clock.iso_micro(row.created_at), "updated_at": clock.iso_micro(row.updated_at),
        "deleted": False, "deleted_at": None}
    return {**shown, "uuid": row.uuid} if version in _WITH_UUID else shown


class Aggregates(Resource):
    """GET and POST /os-aggregates."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        found = core.list_aggregates(self.services, params.caller(request))
        response.media = {"aggregates": [view(one, request.context.version) for one in found]}

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create; the answer has neither hosts nor metadata."""
        body = _CREATE.read(request)
        made = core.create_aggregate(self.services, params.caller(request), body["name"],
                                     body.get("availability_zone"))
        response.media = {"aggregate": _identity(made, request.context.version)}


class AggregateItem(Resource):
    """GET, PUT, DELETE /os-aggregates/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, aggregate_id: str) -> None:
        """Show."""
        found = core.show_aggregate(self.services, params.caller(request), params.integer_id(aggregate_id))
        response.media = {"aggregate": view(found, request.context.version)}

    def on_put(self, request: falcon.Request, response: falcon.Response, aggregate_id: str) -> None:
        """Change name or zone."""
        body = _UPDATE.read(request)
        done = core.update_aggregate(self.services, params.caller(request), params.integer_id(aggregate_id), body)
        response.media = {"aggregate": view(done, request.context.version)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, aggregate_id: str) -> None:
        """Delete."""
        core.delete_aggregate(self.services, params.caller(request), params.integer_id(aggregate_id))
        response.status = 200


class AggregateAction(Resource):
    """POST /os-aggregates/{id}/action."""

    def on_post(self, request: falcon.Request, response: falcon.Response, aggregate_id: str) -> None:
        """Add or remove a host, or set metadata, as the body's only member says."""
        body = bodies.read_json(request)
        name = next(iter(body)) if isinstance(body, dict) and len(body) == 1 else None
        if name not in _ACTIONS:
            raise errors.Invalid(reason="There is no such action: "
                                        f"{', '.join(map(str, body))[:80] if isinstance(body, dict) else 'none'}")
        schema_of, verb = _ACTIONS[name]
        values = schema_of.check(request.context.version, body)
        done = verb(self.services, params.caller(request), params.integer_id(aggregate_id), values)
        response.media = {"aggregate": view(done, request.context.version)}


class AggregateImages(Resource):
    """POST /os-aggregates/{id}/images, since 2.81: cache images in advance."""

    @available(_WITH_IMAGES)
    def on_post(self, request: falcon.Request, _response: falcon.Response, aggregate_id: str) -> None:
        """Refuse: hosts fetch an image when they first need it."""
        self.services.policy.check(params.caller(request), "compute:aggregates:images")
        core.show_aggregate(self.services, params.caller(request), params.integer_id(aggregate_id))
        raise errors.NotImplementedHere(feature="Fetching images to an aggregate's hosts ahead of need")


def _add(services: Services, context: Any, aggregate_id: int, values: dict[str, Any]) -> AggregateShown:
    return core.add_host(services, context, aggregate_id, values["host"])


def _remove(services: Services, context: Any, aggregate_id: int, values: dict[str, Any]) -> AggregateShown:
    return core.remove_host(services, context, aggregate_id, values["host"])


def _set_metadata(services: Services, context: Any, aggregate_id: int, values: dict[str, Any]) -> AggregateShown:
    return core.set_metadata(services, context, aggregate_id, values["metadata"])


_ACTIONS: dict[Any, tuple[Body, Callable[[Services, Any, int, dict[str, Any]], AggregateShown]]] = {
    "add_host": (Body("add_host", _HOST), _add), "remove_host": (Body("remove_host", _HOST), _remove),
    "set_metadata": (Body("set_metadata", (Property("metadata", _METADATA, required=ALWAYS),)), _set_metadata),
}


ROUTES = (
    ("/os-aggregates", Aggregates), ("/os-aggregates/{aggregate_id}", AggregateItem),
    ("/os-aggregates/{aggregate_id}/action", AggregateAction),
    ("/os-aggregates/{aggregate_id}/images", AggregateImages),
)
