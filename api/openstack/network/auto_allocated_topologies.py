"""`/v2.0/auto-allocated-topology/{project}`: made when somebody looks for it."""

from __future__ import annotations

import falcon

from api.core.network import auto_allocated_topologies as core
from api.core.network.scope import Caller
from api.openstack.network import queries
from api.openstack.network.resources import Resource
from hostler import errors, ids

_DRY_RUN = "dry-run"


class Topology(Resource):
    """A project's network."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show it, after it was made if there was none; with `fields=dry-run` only say whether it can be made."""
        caller = Caller.of(self.services, request.context.caller)
        fields = queries.fields_of(request)
        if fields and _DRY_RUN not in fields:
            raise errors.Invalid("Bad auto_allocate request: Unrecognized field.", reason="fields")
        if fields:
            shown, project_id = f"{_DRY_RUN}=pass", core.check_requirements(caller, id)
        else:
            shown, project_id = core.show_topology(caller, id)
        bare = ids.bare(project_id)
        response.media = {"auto_allocated_topology": {"id": shown, "project_id": bare, "tenant_id": bare}}

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Delete all of it."""
        core.delete_topology(Caller.of(self.services, request.context.caller), id)
        response.status = 204
