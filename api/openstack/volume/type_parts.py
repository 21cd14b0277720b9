"""The published face of what belongs to a volume type: extra specs and project access."""

from __future__ import annotations

from typing import Any, Final

import falcon

from api import bodies, names
from api.core.volume.types import TYPES
from api.openstack.resource import Resource
from api.openstack.volume import params, schema
from hostler import errors, ids

_SPECS: Final = {**schema.EXTRA_SPECS, "propertyNames": {"pattern": rf"^{names.SAFE}[a-zA-Z0-9-_:.]{{1,255}}$"}}
_CREATE: Final = bodies.compile_schema({"type": "object", "required": ["extra_specs"], "additionalProperties": False,
                                        "properties": {"extra_specs": _SPECS}})
_ITEM: Final = bodies.compile_schema({**_SPECS, "minProperties": 1, "maxProperties": 1})
_PROJECT: Final = {"type": "object", "required": ["project"], "additionalProperties": False,
                   "properties": {"project": schema.TEXT}}
_ACTION: Final = bodies.compile_schema({
    "type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
    "properties": {"addProjectAccess": _PROJECT, "removeProjectAccess": _PROJECT}})
_PUBLIC: Final = "Type access modification is not applicable to public volume type."


class ExtraSpecs(Resource):
    """GET and POST /types/{id}/extra_specs."""

    def on_get(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """List."""
        response.media = {"extra_specs": TYPES.extra_specs(self.services, params.caller(request), type_id,
                                                                  "index")}

    def on_post(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """Merge; answers with what was sent."""
        body: dict[str, Any] = bodies.read_json(request)
        _CREATE(body)
        specs = {key: value or "" for key, value in body["extra_specs"].items()}
        TYPES.edit_extra_specs(self.services, params.caller(request), type_id, "create", put=specs)
        response.media = {"extra_specs": specs}


class ExtraSpecItem(Resource):
    """GET, PUT, DELETE /types/{id}/extra_specs/{key}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, type_id: str, key: str) -> None:
        """Show."""
        specs = TYPES.extra_specs(self.services, params.caller(request), type_id, "show")
        if key not in specs:
            raise TYPES.spec_not_found(type_id, key)
        response.media = {key: specs[key]}

    def on_put(self, request: falcon.Request, response: falcon.Response, type_id: str, key: str) -> None:
        """Set."""
        body: dict[str, Any] = bodies.read_json(request)
        _ITEM(body)
        if key not in body:
            raise errors.Invalid(reason="Request body and URI mismatch")
        specs = {key: body[key] or ""}
        TYPES.edit_extra_specs(self.services, params.caller(request), type_id, "update", put=specs)
        response.media = specs

    def on_delete(self, request: falcon.Request, response: falcon.Response, type_id: str, key: str) -> None:
        """Delete."""
        TYPES.edit_extra_specs(self.services, params.caller(request), type_id, "delete", drop=key)
        response.status = 202


class TypeAccess(Resource):
    """GET /types/{id}/os-volume-type-access."""

    def on_get(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """List."""
        projects = TYPES.access_list(self.services, params.caller(request), type_id)
        response.media = {"volume_type_access": [
            {"volume_type_id": type_id, "project_id": ids.bare(project)} for project in projects]}


class TypeAction(Resource):
    """POST /types/{id}/action: addProjectAccess, removeProjectAccess."""

    def on_post(self, request: falcon.Request, response: falcon.Response, type_id: str) -> None:
        """Give or take a project's access."""
        body: dict[str, Any] = bodies.read_json(request)
        _ACTION(body)
        ((action, argument),) = body.items()
        act = TYPES.grant if action == "addProjectAccess" else TYPES.revoke
        act(self.services, params.caller(request), type_id, argument["project"], public=_PUBLIC)
        response.status = 202


ROUTES = (("/types/{type_id}/extra_specs", ExtraSpecs), ("/types/{type_id}/extra_specs/{key}", ExtraSpecItem),
          ("/types/{type_id}/os-volume-type-access", TypeAccess), ("/types/{type_id}/action", TypeAction))
