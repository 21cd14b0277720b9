"""`/v3/roles`, and which role implies which."""

from __future__ import annotations

from typing import Any

import falcon

from api import links
from api.core.identity import roles
from api.openstack.identity import parameters, schemas
from api.openstack.identity.rendering import collection, outside_id, root
from api.openstack.identity.views import role_view
from api.openstack.resource import Resource
from hostler import errors
from hostler.db.models import Role
from hostler.identity.roles import IMPLIED
from hostler.query.expressions import EVERYTHING, NOTHING


class _Roles(Resource):
    def _body(self, request: falcon.Request, role: Role) -> dict[str, Any]:
        return {"role": role_view(role, root(self.conf, request))}


class Roles(_Roles):
    """All roles."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List. No role belongs to a domain."""
        conf = self.conf
        of_domain = parameters.text(request, "domain_id") not in (None, "", "None")
        wanted = NOTHING if of_domain else EVERYTHING
        page = roles.list_roles(self.services, request.context.caller,
                                parameters.listing(request, conf, "name", beside=wanted))
        response.media = collection(conf, request, "roles", page,
                                    lambda role: role_view(role, root(conf, request)))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create one."""
        body = parameters.body(request, self.conf, schemas.CREATE_ROLE)
        role = roles.create_role(self.services, request.context.caller, schemas.attributes(body, "role"))
        response.status = 201
        response.media = self._body(request, role)


class OneRole(_Roles):
    """One role."""

    def on_get(self, request: falcon.Request, response: falcon.Response, role_id: str) -> None:
        """Show it."""
        response.media = self._body(request, roles.get_role(self.services, request.context.caller, role_id))

    def on_patch(self, request: falcon.Request, response: falcon.Response, role_id: str) -> None:
        """Change it."""
        body = parameters.body(request, self.conf, schemas.UPDATE_ROLE)
        response.media = self._body(request, roles.update_role(
            self.services, request.context.caller, role_id, schemas.attributes(body, "role", role_id)))

    def on_delete(self, request: falcon.Request, response: falcon.Response, role_id: str) -> None:
        """Delete it."""
        roles.delete_role(self.services, request.context.caller, role_id)
        response.status = 204


class Implied(_Roles):
    """The roles one role implies by itself; they are fixed."""

    def on_get(self, request: falcon.Request, response: falcon.Response, role_id: str) -> None:
        """List them."""
        conf = self.conf
        prior = roles.get_role(self.services, request.context.caller, role_id)
        response.media = {"role_inference": _inference(prior, roles.roles_by_name(self.services), root(conf, request)),
                          "links": {"self": links.own_url(self.conf, request), "previous": None, "next": None}}


class OneImplied(_Roles):
    """Whether a role implies another."""

    def on_get(self, request: falcon.Request, response: falcon.Response, role_id: str, implied_id: str) -> None:
        """Show the pair."""
        where = root(self.conf, request)
        prior, implied = self._pair(request, role_id, implied_id)
        response.media = {"role_inference": {"prior_role": _short(prior, where), "implies": _short(implied, where)}}

    def on_head(self, request: falcon.Request, response: falcon.Response, role_id: str, implied_id: str) -> None:
        """Say whether it does."""
        self._pair(request, role_id, implied_id)
        response.status = 204

    def _pair(self, request: falcon.Request, role_id: str, implied_id: str) -> tuple[Role, Role]:
        prior = roles.get_role(self.services, request.context.caller, role_id)
        implied = roles.get_role(self.services, request.context.caller, implied_id)
        if IMPLIED.get(prior.name) != implied.name:
            raise errors.NotFound(f"{prior.name} does not imply {implied.name}.", resource="implied role",
                                  id=implied.id)
        return prior, implied

    def on_put(self, _request: falcon.Request, _response: falcon.Response, **_ids: str) -> None:
        """Refuse: what implies what is fixed."""
        raise errors.NotImplementedHere(feature="Changing which role implies which")

    on_delete = on_put


class RoleInferences(_Roles):
    """Everything that is implied."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List it."""
        self.services.policy.check(request.context.caller, "identity:list_roles", {})
        by_name, where = roles.roles_by_name(self.services), root(self.conf, request)
        response.media = collection(self.conf, request, "role_inferences", [
            _inference(by_name[name], by_name, where) for name in IMPLIED if name in by_name])


def _inference(prior: Role, by_name: dict[str, Role], where: str) -> dict[str, Any]:
    implied = by_name.get(IMPLIED.get(prior.name, ""))
    return {"prior_role": _short(prior, where), "implies": [_short(implied, where)] if implied is not None else []}


def _short(role: Role, where: str) -> dict[str, Any]:
    shown = outside_id(role.id)
    return {"id": shown, "name": role.name, "links": {"self": f"{where}/roles/{shown}"}}
