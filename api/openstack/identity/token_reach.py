"""What a token's user can reach: `/v3/auth/projects`, `domains`, `system`, `catalog`."""

from __future__ import annotations

import falcon

from api import links
from api.core.identity import projects
from api.openstack.identity.rendering import collection, root
from api.openstack.identity.views import domain_view, project_view
from api.openstack.resource import Resource
from hostler import errors
from hostler.identity.catalog import catalog


class ReachableProjects(Resource):
    """The projects a token of this user can be scoped to."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List them."""
        conf = self.conf
        found = projects.projects_of(self.services, request.context.caller.user_id)
        response.media = collection(conf, request, "projects",
                                    [project_view(project, root(conf, request)) for project in found])


class ReachableDomains(Resource):
    """The domains a token of this user can be scoped to."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List them."""
        conf = self.conf
        found = projects.domains_of(self.services, request.context.caller.user_id)
        response.media = collection(conf, request, "domains",
                                    [domain_view(domain, root(conf, request)) for domain in found])


class ReachableSystem(Resource):
    """Whether a token of this user can be scoped to the system."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the one system, or nothing."""
        has_role = projects.has_system_role(self.services, request.context.caller.user_id)
        response.media = collection(self.conf, request, "system", [{"all": True}] if has_role else [])


class ReachableCatalog(Resource):
    """The catalog."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Show it; raises Forbidden for a token without a scope, which has none."""
        caller, conf = request.context.caller, self.conf
        if not (caller.project_id or caller.domain_id or caller.system_scope):
            raise errors.Forbidden("A token without a scope has no catalog.")
        response.media = collection(conf, request, "catalog",
                                    catalog(links.base_url(conf, request), conf.identity.region))
