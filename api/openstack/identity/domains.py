"""`/v3/domains`."""

from __future__ import annotations

from typing import Any

import falcon

from api.core.identity import domains
from api.openstack.identity import parameters, schemas
from api.openstack.identity.rendering import collection, root
from api.openstack.identity.views import domain_view
from api.openstack.resource import Resource
from hostler.db.models import Domain


class _Domains(Resource):
    def _body(self, request: falcon.Request, domain: Domain) -> dict[str, Any]:
        return {"domain": domain_view(domain, root(self.conf, request))}


class Domains(_Domains):
    """All domains."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List."""
        conf = self.conf
        page = domains.list_domains(self.services, request.context.caller,
                                    parameters.listing(request, conf, "name", "enabled"))
        response.media = collection(conf, request, "domains", page,
                                    lambda domain: domain_view(domain, root(conf, request)))

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Create one."""
        body = parameters.body(request, self.conf, schemas.CREATE_DOMAIN)
        domain = domains.create_domain(self.services, request.context.caller, schemas.attributes(body, "domain"))
        response.status = 201
        response.media = self._body(request, domain)


class OneDomain(_Domains):
    """One domain."""

    def on_get(self, request: falcon.Request, response: falcon.Response, domain_id: str) -> None:
        """Show it."""
        response.media = self._body(request, domains.get_domain(self.services, request.context.caller, domain_id))

    def on_patch(self, request: falcon.Request, response: falcon.Response, domain_id: str) -> None:
        """Change it."""
        body = parameters.body(request, self.conf, schemas.UPDATE_DOMAIN)
        response.media = self._body(request, domains.update_domain(
            self.services, request.context.caller, domain_id, schemas.attributes(body, "domain", domain_id)))

    def on_delete(self, request: falcon.Request, response: falcon.Response, domain_id: str) -> None:
        """Delete it."""
        domains.delete_domain(self.services, request.context.caller, domain_id)
        response.status = 204
