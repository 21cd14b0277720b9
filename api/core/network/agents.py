"""Network agents: each host's compute agent, which links, filters and routes for its guests and serves them DHCP.

What an agent hosts follows from where guests are, so that nothing can be given to one or taken from it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.fleet import hosts
from api.core.network import networks, router_providers, routers
from api.core.network.networks import NetworkRecord
from api.core.network.routers import RouterRecord
from api.core.network.scope import Caller, find
from hostler import errors, ids
from hostler.db.models import Host, Network, Port, Router, RouterPort, Subnet, Zone
from hostler.resources.network import elections
from hostler.resources.network.router_specs import INTERFACE

_SERVED: Final = sa.and_(Network.dhcp_provider.is_not(None),
                         sa.exists().where(Subnet.network_id == Network.id, Subnet.enable_dhcp))


@dataclasses.dataclass(frozen=True)
class Agent:
    """A host's agent; `alive` means that it reported lately. `ha_state` is what it is for a router with an elected
    host: active there, standby on the others that route for it."""

    id: str
    host: str
    zone: str
    alive: bool
    created_at: dt.datetime
    started_at: dt.datetime | None
    seen_at: dt.datetime | None
    ha_state: str | None = None


def list_agents(caller: Caller) -> list[Agent]:
    """Return the agents of all hosts; none to those who may not see them, as the reference's lists are filtered."""
    if not caller.allows("get_agent"):
        return []
    with caller.services.db.reading() as session:
        return _agents(session, caller)


def show_agent(caller: Caller, identifier: str) -> Agent:
    """Return one agent; raises NotFound."""
    if not caller.allows("get_agent"):
        raise _unknown(identifier)
    with caller.services.db.reading() as session:
        return _agents(session, caller, Host.id == _host(session, identifier))[0]


def agents_of_network(caller: Caller, identifier: str) -> list[Agent]:
    """Return the agents that serve DHCP on a network: those of the hosts of its guests."""
    caller.check("get_dhcp-agents", "")
    with caller.services.db.reading() as session:
        network = find(session, caller, Network, identifier)
        return _agents(session, caller, Host.id.in_(sa.select(Port.host_id).join(
            Network, Network.id == Port.network_id).where(Network.id == network.id, _SERVED)))


def agents_of_router(caller: Caller, identifier: str) -> list[Agent]:
    """Return the agents that route for a router: those of the hosts of its networks' guests."""
    caller.check("get_l3-agents", "")
    with caller.services.db.reading() as session:
        router = find(session, caller, Router, identifier)
        found = _agents(session, caller, Host.id.in_(sa.select(Port.host_id).where(
            Port.network_id.in_(_joined(RouterPort.router_id == router.id)))))
        if router.distributed:
            return found
        leader = elections.leader(session, router.id)
        return [dataclasses.replace(agent, ha_state="active" if agent.id == leader else "standby") for agent in found]


def networks_of_agent(caller: Caller, identifier: str) -> list[NetworkRecord]:
    """Return the networks on which an agent serves DHCP."""
    caller.check("get_dhcp-networks", "")
    with caller.services.db.reading() as session:
        rows = session.scalars(sa.select(Network).where(
            _SERVED, Network.id.in_(sa.select(Port.network_id).where(Port.host_id == _host(session, identifier))))
            .order_by(Network.id)).all()
        return networks.records(session, caller, rows)


def routers_of_agent(caller: Caller, identifier: str) -> list[RouterRecord]:
    """Return the routers that an agent routes for."""
    caller.check("get_l3-routers", "")
    with caller.services.db.reading() as session:
        guests = sa.select(Port.network_id).where(Port.host_id == _host(session, identifier))
        inside = sa.select(RouterPort.router_id).join(Port, Port.id == RouterPort.port_id).where(
            RouterPort.role == INTERFACE, Port.network_id.in_(guests))
        rows = session.scalars(sa.select(Router).where(Router.id.in_(inside)).order_by(Router.id)).all()
        return routers.records(session, caller, rows)


def add_router(caller: Caller, identifier: str, router_id: str) -> None:
    """Have an agent's host lead outside for a router; raises NotFound, and Conflict where it cannot."""
    caller.check("create_l3-router", "")
    router_providers.put_on_host(caller, _found(caller, identifier), router_id)


def remove_router(caller: Caller, identifier: str, router_id: str) -> None:
    """Have another host lead outside for a router; raises NotFound, and Conflict where it does not."""
    caller.check("delete_l3-router", "")
    router_providers.remove_from_host(caller, _found(caller, identifier), router_id)


def _found(caller: Caller, identifier: str) -> str:
    with caller.services.db.reading() as session:
        return _host(session, identifier)


def _joined(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return the networks that routers join."""
    return sa.select(Port.network_id).join(RouterPort, RouterPort.port_id == Port.id).where(
        condition, RouterPort.role == INTERFACE)


def _host(session: orm.Session, identifier: str) -> str:
    host_id = ids.canonical(identifier)
    if host_id is None or session.get(Host, host_id) is None:
        raise _unknown(identifier)
    return host_id


def _unknown(identifier: str) -> errors.NotFound:
    return errors.NotFound(f"Agent {identifier} could not be found.", resource="agent", id=identifier)


def _agents(session: orm.Session, caller: Caller, *conditions: sa.ColumnElement[bool]) -> list[Agent]:
    silent = hosts.silent_before(caller.services)
    rows: Sequence[Any] = session.execute(sa.select(Host, Zone.name).join(Zone, Zone.id == Host.zone_id)
                                          .where(*conditions).order_by(Host.number)).all()
    return [Agent(host.id, host.name, zone, hosts.is_up(host, silent), host.created_at, host.started_at,
                  host.last_seen_at) for host, zone in rows]
