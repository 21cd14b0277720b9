"""Adding interfaces to routers and removing them, and who routes; all else about routers is as for every noun."""

from __future__ import annotations

import dataclasses
from typing import Any

import falcon

from api.bodies import compile_schema
from api.core.network import router_interfaces, router_providers
from api.core.network import routers as core
from api.openstack.network import queries, views
from api.openstack.network.resources import Resource
from api.openstack.network.schemas import ID, ROUTES, TRUTH, coerced, record_of
from hostler import errors
from hostler.query.compiler import unknown

_CHECK = compile_schema(record_of(subnet_id=ID, port_id=ID))
_CHECK_ROUTES = compile_schema(record_of(("router",), router=record_of(("routes",), routes=ROUTES)))


class _Interface(Resource):
    def _asked(self, request: falcon.Request) -> dict[str, Any]:
        body = self.body(request)
        if not isinstance(body, dict):
            raise errors.Invalid(reason="Bad router request: Either subnet_id or port_id must be specified.")
        _CHECK(body)
        return {name: body.get(name) for name in ("subnet_id", "port_id")}


class AddInterface(_Interface):
    """`/v2.0/routers/{id}/add_router_interface`."""

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Join a subnet to the router."""
        response.media = views.interface(
            router_interfaces.add_interface(self.caller(request), id, **self._asked(request)))


class RemoveInterface(_Interface):
    """`/v2.0/routers/{id}/remove_router_interface`."""

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Take a subnet from the router."""
        response.media = views.interface(
            router_interfaces.remove_interface(self.caller(request), id, **self._asked(request)))


class _Routes(Resource):
    _add: bool

    def on_put(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Add the routes to the router's, or take them from there."""
        body = self.body(request)
        if not isinstance(body, dict):
            raise errors.Invalid(reason="Unable to find 'router' in request body")
        _CHECK_ROUTES(body)
        caller = self.caller(request)
        record = core.change_routes(caller, id, body["router"]["routes"], add=self._add)
        response.media = {"router": views.router(record, caller)}


class AddRoutes(_Routes):
    """`/v2.0/routers/{id}/add_extraroutes`."""

    _add = True


class RemoveRoutes(_Routes):
    """`/v2.0/routers/{id}/remove_extraroutes`."""

    _add = False


class ServiceProviders(Resource):
    """`/v2.0/service-providers`: what may lead outside for a router."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List those that the query asks for."""
        shown = [dataclasses.asdict(provider) for provider in router_providers.PROVIDERS]
        for name in request.params.keys() - queries.NOT_FILTERS:
            if name not in shown[0]:
                raise unknown(name)
            wanted = [coerced(TRUTH, text) if name == "default" else text
                      for text in request.get_param_as_list(name) or ()]
            shown = [provider for provider in shown if provider[name] in wanted]
        response.media = {"service_providers": [queries.only(one, queries.fields_of(request)) for one in shown]}
