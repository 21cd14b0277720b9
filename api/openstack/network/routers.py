"""Adding interfaces to routers and removing them; all else about routers is as for every noun."""

from __future__ import annotations

from typing import Any

import falcon

from api.bodies import compile_schema
from api.core.network import router_interfaces
from api.core.network import routers as core
from api.openstack.network import views
from api.openstack.network.resources import Resource
from api.openstack.network.schemas import ID, ROUTES, record_of
from hostler import errors

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
