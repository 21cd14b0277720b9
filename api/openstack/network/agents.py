"""`/v2.0/agents` and what they host; read-only, as each host's agent works for the guests that are there, but for
which host leads outside for a router that is not distributed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any, Final

import falcon

from api.bodies import compile_schema
from api.core.network import agents as core
from api.core.network.scope import Caller
from api.openstack.network import queries, views
from api.openstack.network.resources import Resource
from api.openstack.network.schemas import ANY_ID, TRUTH, coerced, record_of
from api.services import Services
from hostler import errors
from hostler.query.compiler import unknown

_FILTERS: Final = ("id", "agent_type", "binary", "topic", "host", "availability_zone", "admin_state_up", "alive",
                   "description")
_CHECK: Final = compile_schema(record_of(("router_id",), router_id=ANY_ID))
_TRUTHS: Final = ("admin_state_up", "alive")


def view(agent: core.Agent) -> dict[str, Any]:
    """Show an agent."""
    return {"id": agent.id, "agent_type": "Hostler agent", "binary": "hostler-compute", "topic": "compute",
            "host": agent.host, "availability_zone": agent.zone, "admin_state_up": True, "alive": agent.alive,
            "created_at": _time(agent.created_at), "started_at": _time(agent.started_at),
            "heartbeat_timestamp": _time(agent.seen_at), "description": "", "configurations": {},
            "resources_synced": None, **({} if agent.ha_state is None else {"ha_state": agent.ha_state})}


def _time(moment: dt.datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _refuse(*_request: Any, **_ids: str) -> None:
    raise errors.NotImplementedHere(feature="Changing a network agent, or what it hosts,")


class Agents(Resource):
    """Agents: all, or those of a network or router."""

    def __init__(self, services: Services, find: Callable[..., Sequence[core.Agent]]) -> None:
        super().__init__(services)
        self._find = find

    def on_get(self, request: falcon.Request, response: falcon.Response, **ids: str) -> None:
        """List them."""
        shown = [view(agent) for agent in self._find(self.caller(request), *ids.values())]
        for name in request.params.keys() - queries.NOT_FILTERS:
            if name not in _FILTERS:
                raise unknown(name)
            wanted = [coerced(TRUTH, text) if name in _TRUTHS else text
                      for text in request.get_param_as_list(name) or ()]
            shown = [agent for agent in shown if agent[name] in wanted]
        response.media = {"agents": [queries.only(agent, queries.fields_of(request)) for agent in shown]}


class Agent(Resource):
    """`/v2.0/agents/{id}`."""

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Show it."""
        shown = view(core.show_agent(self.caller(request), id))
        response.media = {"agent": queries.only(shown, queries.fields_of(request))}

    on_put = on_delete = _refuse


class Hosted(Resource):
    """What an agent hosts."""

    def __init__(self, services: Services, plural: str, find: Callable[[Caller, str], Sequence[Any]],
                 show: Callable[[Any, Caller], dict[str, Any]]) -> None:
        super().__init__(services)
        self._plural, self._find, self._show = plural, find, show

    def on_get(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """List them."""
        caller = self.caller(request)
        response.media = {self._plural: [self._show(record, caller) for record in self._find(caller, id)]}


class DhcpNetworks(Hosted):
    """`/v2.0/agents/{id}/dhcp-networks`."""

    on_post = _refuse


class L3Routers(Hosted):
    """`/v2.0/agents/{id}/l3-routers`."""

    def on_post(self, request: falcon.Request, response: falcon.Response, id: str) -> None:
        """Have the agent's host lead outside for the router that the body names."""
        body = self.body(request)
        if not isinstance(body, dict):
            raise errors.Invalid(reason="Unable to find 'router_id' in request body")
        _CHECK(body)
        core.add_router(self.caller(request), id, body["router_id"])
        # Not an empty body: openstacksdk reads what is there as JSON.
        response.status, response.content_type, response.data = falcon.HTTP_201, falcon.MEDIA_JSON, b"null"


class L3Router(Resource):
    """A router for which an agent's host may lead outside."""

    def on_delete(self, request: falcon.Request, response: falcon.Response, id: str, item_id: str) -> None:
        """Have another host do so."""
        core.remove_router(self.caller(request), id, item_id)
        response.status = falcon.HTTP_204

    on_put = _refuse


class HostedItem(Resource):
    """One of what an agent hosts."""

    on_put = on_delete = _refuse


def routes(services: Services) -> list[tuple[str, Resource]]:
    """Return the paths of agents."""
    return [
        ("/v2.0/agents", Agents(services, core.list_agents)), ("/v2.0/agents/{id}", Agent(services)),
        ("/v2.0/agents/{id}/dhcp-networks", DhcpNetworks(services, "networks", core.networks_of_agent, views.network)),
        ("/v2.0/agents/{id}/dhcp-networks/{item_id}", HostedItem(services)),
        ("/v2.0/agents/{id}/l3-routers", L3Routers(services, "routers", core.routers_of_agent, views.router)),
        ("/v2.0/agents/{id}/l3-routers/{item_id}", L3Router(services)),
        ("/v2.0/networks/{id}/dhcp-agents", Agents(services, core.agents_of_network)),
        ("/v2.0/routers/{id}/l3-agents", Agents(services, core.agents_of_router))]
