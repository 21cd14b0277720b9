"""`/v3/roles`, and which role implies which."""

from __future__ import annotations

from typing import Any, Final

import falcon
from oslo_config import cfg

from api import links
from api.core.identity import roles
from api.openstack.identity import parameters, schemas
from api.openstack.identity.nouns import Noun
from api.openstack.identity.rendering import collection, outside_id, root
from api.openstack.identity.views import role_view
from api.openstack.resource import Resource
from hostler import errors
from hostler.db.models import Role
from hostler.identity.roles import IMPLIED
from hostler.query.expressions import EVERYTHING, NOTHING
from hostler.query.paging import Query


def _listing(request: falcon.Request, conf: cfg.ConfigOpts) -> Query:
    # No role belongs to a domain.
    of_domain = parameters.text(request, "domain_id") not in (None, "", "None")
    return parameters.listing(request, conf, "name", beside=NOTHING if of_domain else EVERYTHING)


ROLE: Final = Noun(
    name="role", view=role_view, creation=schemas.CREATE_ROLE, change=schemas.UPDATE_ROLE, listing=_listing,
    list_page=roles.list_roles, get=roles.get_role, create=roles.create_role, update=roles.update_role,
    delete=roles.delete_role)


class Implied(Resource):
    """The roles one role implies by itself; they are fixed."""

    def on_get(self, request: falcon.Request, response: falcon.Response, role_id: str) -> None:
        """List them."""
        conf = self.conf
        prior = roles.get_role(self.services, request.context.caller, role_id)
        response.media = {"role_inference": _inference(prior, roles.roles_by_name(self.services), root(conf, request)),
                          "links": {"self": links.own_url(self.conf, request), "previous": None, "next": None}}


class OneImplied(Resource):
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


class RoleInferences(Resource):
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
