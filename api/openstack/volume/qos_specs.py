"""The published face of QoS specs: /qos-specs. Three of its changes are GETs, as published."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api import audit, bodies
from api.core.volume import qos_specs
from api.openstack.resource import Resource
from api.openstack.volume import params, queries, schema
from api.openstack.volume.queries import Listed
from hostler import errors
from hostler.db.models import QosSpecs
from hostler.query import text
from hostler.resources.volume import qos

_ROOT: Final = "/qos-specs"
LISTED: Final = Listed(
    filters={"id": text.last("id"), "name": text.last("name"), "consumer": text.last("consumer")},
    sortable={name: name for name in ("id", "name", "consumer", "created_at", "updated_at")})
_CONSUMER: Final = {"enum": list(qos.CONSUMERS)}
_SPECS: Final = {**schema.EXTRA_SPECS, "additionalProperties": {
    **schema.EXTRA_SPECS["additionalProperties"], "type": "string"}}


def _compiled(*required: str, **properties: Any) -> bodies.Validator:
    specs = {**_SPECS, "properties": {**properties, "consumer": _CONSUMER}, "required": list(required),
             "minProperties": 1}
    return bodies.compile_schema({"type": "object", "required": ["qos_specs"], "additionalProperties": False,
                                  "properties": {"qos_specs": specs}})


_CREATE: Final = _compiled("name", name=schema.NAME)
_UPDATE: Final = _compiled()
_UNSET: Final = bodies.compile_schema({
    "type": "object", "required": ["keys"], "additionalProperties": False,
    "properties": {"keys": {"type": "array", "items": schema.TEXT, "uniqueItems": True, "maxItems": 1000}}})


def view(row: QosSpecs) -> dict[str, Any]:
    """Return QoS specs as the API prints them."""
    return {"id": row.id, "name": row.name, "consumer": row.consumer, "specs": row.specs}


class _Resource(Resource):
    def shown(self, request: falcon.Request, row: QosSpecs) -> dict[str, Any]:
        """Return the body that shows one."""
        base = params.base_of(self.conf, request)
        return {"qos_specs": view(row), "links": queries.links_of(base, f"{_ROOT}/{row.id}")}


class QosSpecsList(_Resource):
    """GET and POST /qos-specs."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        query = queries.query_of(request, self.services, LISTED)
        page = qos_specs.list_specs(self.services, params.caller(request), query)
        response.media = queries.body_of(request, self.services, page, member="qos_specs", path=_ROOT, view=view)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        context, body = params.caller(request), bodies.read_json(request)
        _CREATE(body)
        specs = dict(body["qos_specs"])
        name, consumer = specs.pop("name").strip(), specs.pop("consumer", qos.BACK_END)
        response.media = self.shown(request, qos_specs.create(self.services, context, name, consumer, specs))


class QosSpecsItem(_Resource):
    """GET, PUT, DELETE /qos-specs/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, qos_id: str) -> None:
        """Show."""
        response.media = self.shown(request, qos_specs.show(self.services, params.caller(request), qos_id))

    def on_put(self, request: falcon.Request, response: falcon.Response, qos_id: str) -> None:
        """Set some; answers with what was sent."""
        context, body = params.caller(request), bodies.read_json(request)
        _UPDATE(body)
        specs = dict(body["qos_specs"])
        consumer = specs.pop("consumer", None)
        qos_specs.update(self.services, context, qos_id, specs, consumer)
        response.media = body

    def on_delete(self, request: falcon.Request, response: falcon.Response, qos_id: str) -> None:
        """Delete."""
        force = params.truth("force", request.get_param("force"))
        qos_specs.delete(self.services, params.caller(request), qos_id, force=force)
        response.status = 202


class Unset(Resource):
    """PUT /qos-specs/{id}/delete_keys."""

    def on_put(self, request: falcon.Request, response: falcon.Response, qos_id: str) -> None:
        """Remove some."""
        context, body = params.caller(request), bodies.read_json(request)
        _UNSET(body)
        qos_specs.unset(self.services, context, qos_id, body["keys"])
        response.status = 202


class Associations(Resource):
    """GET /qos-specs/{id}/associations."""

    def on_get(self, request: falcon.Request, response: falcon.Response, qos_id: str) -> None:
        """List the types."""
        found = qos_specs.associations(self.services, params.caller(request), qos_id)
        response.media = {"qos_associations": [
            {"association_type": "volume_type", "name": row.name, "id": row.id} for row in found]}


class Associate(Resource):
    """GET /qos-specs/{id}/associate?vol_type_id=…"""

    verb = "associate"

    def on_get(self, request: falcon.Request, response: falcon.Response, qos_id: str) -> None:
        """Do it."""
        audit.note(request, action=self.verb)
        self.change(request, qos_id)
        response.status = 202

    def change(self, request: falcon.Request, qos_id: str) -> None:
        """Give the specs to the type that the query names."""
        qos_specs.associate(self.services, params.caller(request), qos_id, _type_of(request))


class Disassociate(Associate):
    """GET /qos-specs/{id}/disassociate?vol_type_id=…"""

    verb = "disassociate"

    def change(self, request: falcon.Request, qos_id: str) -> None:
        """Take the specs from the type that the query names."""
        qos_specs.disassociate(self.services, params.caller(request), qos_id, _type_of(request))


class DisassociateAll(Associate):
    """GET /qos-specs/{id}/disassociate_all."""

    verb = "disassociate_all"

    def change(self, request: falcon.Request, qos_id: str) -> None:
        """Take the specs from all types."""
        qos_specs.disassociate(self.services, params.caller(request), qos_id, None)


def _type_of(request: falcon.Request) -> str:
    type_id = request.get_param("vol_type_id")
    if not type_id:
        raise errors.Invalid(reason="Volume Type id must not be None: vol_type_id is required.")
    return type_id


ROUTES = ((_ROOT, QosSpecsList), (_ROOT + "/{qos_id}", QosSpecsItem), (_ROOT + "/{qos_id}/delete_keys", Unset),
          (_ROOT + "/{qos_id}/associations", Associations), (_ROOT + "/{qos_id}/associate", Associate),
          (_ROOT + "/{qos_id}/disassociate", Disassociate), (_ROOT + "/{qos_id}/disassociate_all", DisassociateAll))
