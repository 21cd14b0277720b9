"""The published face of servers: create, list, detail, show, update, delete."""

from __future__ import annotations

from typing import Any

import falcon

from api import bodies
from api.core.server import create as server_create
from api.core.server import list as server_list
from api.core.server import servers
from api.openstack.compute import params, schema
from api.openstack.compute.microversion import Span, since
from api.openstack.compute.schema import Body, Property
from api.openstack.compute.server import body as server_body
from api.openstack.compute.server import query as server_query
from api.openstack.compute.server.views import DISK_CONFIG, FULL_UPDATE, Audience, ServerView, short_update
from api.openstack.resource import Resource
from api.services import Services
from hostler.context import RequestContext

_UPDATE = Body("server", (
    Property("name", schema.NAME),
    Property("OS-DCF:diskConfig", {"enum": ["AUTO", "MANUAL"]}),
    Property("accessIPv4", {"type": "string", "anyOf": [{"format": "ipv4"}, {"const": ""}]}),
    Property("accessIPv6", {"type": "string", "anyOf": [{"format": "ipv6"}, {"const": ""}]}),
    Property("description", schema.DESCRIPTION, since(19)),
    Property("hostname", schema.HOSTNAME, Span((2, 90), (2, 93))), Property("hostname", schema.FQDN, since(94)),
))
_UPDATE_COLUMNS = {"name": "name", "description": "description", "hostname": "hostname",
                   "accessIPv4": "access_ip_v4", "accessIPv6": "access_ip_v6"}
_ADDRESSES = frozenset({"accessIPv4", "accessIPv6"})


def audience_of(services: Services, context: RequestContext) -> Audience:
    """Return what the caller may see of servers."""
    policy = services.policy
    return Audience(attributes=policy.allows(context, "os_compute_api:os-extended-server-attributes"),
                    host_status=policy.allows(context, "os_compute_api:servers:show:host_status"),
                    fault_details=bool(context.is_admin))


def view_for(services: Services, request: falcon.Request, context: RequestContext) -> ServerView:
    """Return the writer of servers for this request."""
    return ServerView(params.base_of(services.conf, request), request.context.version,
                      audience_of(services, context))


class Servers(Resource):
    """GET and POST /servers."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List ids and names."""
        context = params.caller(request)
        query = server_query.parse(self.services, request, context, detail=False, user_data=False)
        listing = server_list.list_names(self.services, context, query)
        view = view_for(self.services, request, context)
        response.media = page_body(self, request, "/servers", listing, [view.brief(row) for row in listing.rows])

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Accept one or more new servers."""
        context = params.caller(request)
        new, want_reservation = server_body.parse(request.context.version, bodies.read_json(request),
                                                  request.get_header("Idempotency-Key"))
        accepted = server_create.create(self.services, context, new)
        response.status = 202
        if want_reservation:
            response.media = {"reservation_id": accepted.reservation_id}
            return
        view = ServerView(params.base_of(self.conf, request), request.context.version, Audience())
        server_id = accepted.server_ids[0]
        links = view.links(server_id)
        groups = list(dict.fromkeys(new.security_groups)) or ["default"]
        server: dict[str, Any] = {"id": server_id, "links": links,
                                  "OS-DCF:diskConfig": DISK_CONFIG[new.auto_disk_config],
                                  "security_groups": [{"name": name} for name in groups]}
        if accepted.admin_password is not None:
            server["adminPass"] = accepted.admin_password
        response.media = {"server": server}
        response.set_header("Location", links[0]["href"])


class ServersDetail(Resource):
    """GET /servers/detail."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List with details."""
        context = params.caller(request)
        audience = audience_of(self.services, context)
        query = server_query.parse(self.services, request, context, detail=True,
                                   user_data=audience.attributes and request.context.version in since(3))
        listing = server_list.list_servers(self.services, context, query)
        view = ServerView(params.base_of(self.conf, request), request.context.version, audience)
        related = listing.related
        response.media = page_body(self, request, "/servers/detail", listing,
                                   [view.detail(row, related) for row in listing.rows])


def page_body(resource: Resource, request: falcon.Request, path: str, listing: server_list.Listing,
              views: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the body of one page, with the link to the next when the page is full."""
    body: dict[str, Any] = {"servers": views}
    if listing.full:
        body["servers_links"] = params.page_links(request, resource.conf, path, views[-1]["id"])
    return body


class ServerItem(Resource):
    """GET, PUT, DELETE /servers/{id}."""

    def on_get(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Show."""
        response.media = {"server": self._show(request, server_id)}

    def on_put(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Change name, description, host name or access addresses."""
        body = _UPDATE.read(request)
        values = {_UPDATE_COLUMNS[key]: schema.canonical_address(value) if key in _ADDRESSES else value
                  for key, value in body.items() if key in _UPDATE_COLUMNS}
        if "OS-DCF:diskConfig" in body:
            values["auto_disk_config"] = body["OS-DCF:diskConfig"] == "AUTO"
        servers.update(self.services, params.caller(request), server_id, values)
        view = self._show(request, server_id)
        if request.context.version not in FULL_UPDATE:
            view = short_update(view)
        response.media = {"server": view}

    def on_delete(self, request: falcon.Request, response: falcon.Response, server_id: str) -> None:
        """Accept the deletion."""
        servers.delete(self.services, params.caller(request), server_id)
        response.status = 204

    def _show(self, request: falcon.Request, server_id: str) -> dict[str, Any]:
        context = params.caller(request)
        audience = audience_of(self.services, context)
        row, related = servers.show(self.services, context, server_id, user_data=audience.attributes)
        return ServerView(params.base_of(self.conf, request), request.context.version, audience).one(row, related)
