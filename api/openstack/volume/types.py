"""The published face of volume types: list, default, create, show, update, delete; encryption, which there is none."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import falcon

from api import bodies
from api.core.volume import types as volume_types
from api.microversions import ALWAYS
from api.openstack.resource import Resource
from api.openstack.volume import params, queries, schema
from api.openstack.volume.microversion import since
from api.openstack.volume.queries import Listed
from api.openstack.volume.schema import Body, Property
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import VolumeType
from hostler.query import text
from hostler.query.expressions import EVERYTHING, NOTHING
from hostler.query.paging import Query

_POLICY: Final = "volume_extension:"
# What users may know of a type, besides its name.
_FOR_USERS: Final = ("multiattach", "replication_enabled", "RESKEY:availability_zones")
LISTED: Final = Listed(
    published=("is_public", "extra_specs"), refusing=since(52),
    filters={"name": text.last("name"), "description": text.last("description"), "is_public": text.fixed(EVERYTHING),
             "extra_specs": text.items("extra_specs")}, later={"extra_specs": since(52)},
    sortable={name: name for name in ("id", "name", "created_at", "updated_at", "description", "is_public")})
_CREATE: Final = Body("volume_type", (
    Property("name", schema.NAME, required=ALWAYS),
    Property("description", schema.DESCRIPTION),
    Property("extra_specs", schema.EXTRA_SPECS),
    Property("os-volume-type-access:is_public", schema.BOOLEAN)))
_UPDATE: Final = Body("volume_type", (
    Property("name", {**schema.NAME, "type": ["string", "null"]}), Property("description", schema.DESCRIPTION),
    Property("is_public", schema.BOOLEAN)))


def changed_view(row: VolumeType) -> dict[str, Any]:
    """Return a type as the answers to POST and PUT show it."""
    return {"id": row.id, "name": row.name, "is_public": row.is_public, "description": row.description,
            "extra_specs": row.extra_specs}


def view(services: Services, context: RequestContext, row: VolumeType) -> dict[str, Any]:
    """Return a type as the caller may see it."""
    policy = services.policy
    shown: dict[str, Any] = {"id": row.id, "name": row.name, "is_public": row.is_public,
                             "description": row.description}
    if policy.allows(context, _POLICY + "volume_type_access"):
        shown["os-volume-type-access:is_public"] = row.is_public
    if policy.allows(context, _POLICY + "access_types_extra_specs"):
        every = policy.allows(context, _POLICY + "types_extra_specs:read_sensitive")
        shown["extra_specs"] = {key: value for key, value in row.extra_specs.items() if every or key in _FOR_USERS}
    if policy.allows(context, _POLICY + "access_types_qos_specs_id"):
        shown["qos_specs_id"] = row.qos_specs_id
    return shown


class Types(Resource):
    """GET and POST /types."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        context = params.caller(request)
        query = self._checked(context, request, queries.query_of(request, self.services, LISTED))
        page = volume_types.list_types(self.services, context, query,
                                       is_public=_publicity(request.get_param("is_public")))
        response.media = queries.body_of(request, self.services, page, member="volume_types", path="/types",
                                       view=lambda row: view(self.services, context, row), links="volume_type_links")

    def _checked(self, context: RequestContext, request: falcon.Request, query: Query) -> Query:
        """Match nothing where a filter would tell callers what they may not see."""
        asked = request.get_param("extra_specs")
        if asked is None or request.context.version not in LISTED.later["extra_specs"] or self.services.policy.allows(
                context, _POLICY + "types_extra_specs:read_sensitive"):
            return query
        known = all(key in _FOR_USERS for key in text.read_map("extra_specs", asked))
        return query if known else dataclasses.replace(query, where=NOTHING)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create."""
        body = _CREATE.read(request)
        specs = {key: value or "" for key, value in (body.get("extra_specs") or {}).items()}
        context = params.caller(request)
        made = volume_types.create(self.services, context, {
            "name": body["name"].strip(), "description": body.get("description"), "extra_specs": specs,
            "is_public": schema.truth(body.get("os-volume-type-access:is_public", True))})
        response.media = {"volume_type": {**changed_view(made), "os-volume-type-access:is_public": made.is_public}}


def _publicity(text: str | None) -> bool | None:
    if text is None:
        return True
    return None if text.lower() == "none" else params.truth("is_public", text)


class TypeItem(Resource):
    """GET, PUT, DELETE /types/{id}; the id `default` is the type of volumes that name none."""

    def on_get(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """Show."""
        context = params.caller(request)
        row = (volume_types.show_default(self.services, context) if type_id == "default"
               else volume_types.show(self.services, context, type_id))
        response.media = {"volume_type": view(self.services, context, row)}

    def on_put(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """Change."""
        body = _UPDATE.read(request)
        context = params.caller(request)
        values: dict[str, Any] = {}
        if body.get("name") is not None:
            values["name"] = body["name"].strip()
        if "description" in body and body["description"] is not None:
            values["description"] = body["description"].strip()
        if "is_public" in body:
            values["is_public"] = schema.truth(body["is_public"])
        if not values:
            raise errors.Invalid(reason="Specify volume type name, description, is_public or a combination thereof.")
        row = volume_types.update(self.services, context, type_id, values)
        response.media = {"volume_type": changed_view(row)}

    def on_delete(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """Delete."""
        volume_types.delete(self.services, params.caller(request), type_id)
        response.status = 202


class Encryption(Resource):
    """/types/{id}/encryption: volumes are not encrypted."""

    def on_get(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """Show that there is none."""
        context = params.caller(request)
        self.services.policy.check(context, _POLICY + "volume_type_encryption:get")
        volume_types.show(self.services, context, type_id)
        response.media = {}

    def on_post(self, request: falcon.Request, _response: falcon.Response, type_id: str) -> None:
        """Refuse."""
        context = params.caller(request)
        self.services.policy.check(context, _POLICY + "volume_type_encryption:create")
        bodies.read_json(request)
        volume_types.show(self.services, context, type_id)
        raise errors.NotImplementedHere(feature="Encryption of volumes")


class EncryptionItem(Resource):
    """/types/{id}/encryption/{key}: volumes are not encrypted."""

    def on_get(self, request: falcon.Request, _response: falcon.Response, type_id: str, key: str) -> None:
        """Find nothing."""
        context = params.caller(request)
        self.services.policy.check(context, _POLICY + "volume_type_encryption:get")
        raise errors.NotFound(f"Volume type encryption for type {type_id[:80]} does not exist.",
                              resource="encryption", id=key)

    on_put = on_get
    on_delete = on_get


ROUTES = (("/types", Types), ("/types/{type_id}", TypeItem), ("/types/{type_id}/encryption", Encryption),
          ("/types/{type_id}/encryption/{key}", EncryptionItem))
