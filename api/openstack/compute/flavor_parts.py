"""The published face of what belongs to a flavor: extra specs and project access."""

from __future__ import annotations

from typing import Any

import falcon

from api import bodies
from api.core.catalog.flavors import FLAVORS
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import since
from api.openstack.resource import Resource
from hostler import errors, ids

_ITEM = bodies.compile_schema({**schema.SIMPLE["extra_specs"], "minProperties": 1, "maxProperties": 1})
_TENANT = {"type": "object", "required": ["tenant"], "additionalProperties": False, "properties": {
    "tenant": {"type": "string", "minLength": 1, "maxLength": 255}}}
_ACTION = bodies.compile_schema({"type": "object", "additionalProperties": False, "minProperties": 1,
                                 "maxProperties": 1, "properties": {"addTenantAccess": _TENANT,
                                                                    "removeTenantAccess": _TENANT}})
_REFUSES_PUBLIC = since(7)


class ExtraSpecs(Resource):
    """GET and POST /flavors/{id}/os-extra_specs."""

    def on_get(self, request: falcon.Request, response: falcon.Response, flavor_id: str) -> None:
        """List."""
        specs = FLAVORS.extra_specs(self.services, params.caller(request), flavor_id, "index")
        response.media = {"extra_specs": specs}

    def on_post(self, request: falcon.Request, response: falcon.Response, flavor_id: str) -> None:
        """Merge; answers with what was sent."""
        sent = schema.read_simple(request, "extra_specs", "extra_specs")
        specs = {key: str(value) for key, value in sent.items()}
        FLAVORS.edit_extra_specs(self.services, params.caller(request), flavor_id, "create", put=specs)
        response.media = {"extra_specs": specs}


class ExtraSpecItem(Resource):
    """GET, PUT, DELETE /flavors/{id}/os-extra_specs/{key}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, flavor_id: str, key: str) -> None:
        """Show."""
        specs = FLAVORS.extra_specs(self.services, params.caller(request), flavor_id, "show")
        if key not in specs:
            raise FLAVORS.spec_not_found(flavor_id, key)
        response.media = {key: specs[key]}

    def on_put(self, request: falcon.Request, response: falcon.Response, flavor_id: str, key: str) -> None:
        """Set."""
        body: dict[str, Any] = bodies.read_json(request)
        _ITEM(body)
        if key not in body:
            raise errors.Invalid(reason="Request body and URI mismatch")
        value = str(body[key])
        FLAVORS.edit_extra_specs(self.services, params.caller(request), flavor_id, "update", put={key: value})
        response.media = {key: value}

    def on_delete(self, request: falcon.Request, _response: falcon.Response, flavor_id: str, key: str) -> None:
        """Delete."""
        FLAVORS.edit_extra_specs(self.services, params.caller(request), flavor_id, "delete", drop=key)


class FlavorAccess(Resource):
    """GET /flavors/{id}/os-flavor-access."""

    def on_get(self, request: falcon.Request, response: falcon.Response, flavor_id: str) -> None:
        """List."""
        response.media = access_view(flavor_id, FLAVORS.access_list(self.services, params.caller(request), flavor_id))


class FlavorAction(Resource):
    """POST /flavors/{id}/action: addTenantAccess, removeTenantAccess."""

    def on_post(self, request: falcon.Request, response: falcon.Response, flavor_id: str) -> None:
        """Give or take a project's access."""
        body: dict[str, Any] = bodies.read_json(request)
        _ACTION(body)
        ((action, argument),) = body.items()
        context, project = params.caller(request), argument["tenant"]
        if action == "addTenantAccess":
            refuses = request.context.version in _REFUSES_PUBLIC
            projects = FLAVORS.grant(self.services, context, flavor_id, project, public=(
                "Can not add access to a public flavor." if refuses else None))
        else:
            projects = FLAVORS.revoke(self.services, context, flavor_id, project, public=None)
        response.media = access_view(flavor_id, projects)


def access_view(flavor_id: str, projects: Any) -> dict[str, Any]:
    """Return the projects that may use a flavor."""
    return {"flavor_access": [{"flavor_id": flavor_id, "tenant_id": ids.bare(project)} for project in projects]}
