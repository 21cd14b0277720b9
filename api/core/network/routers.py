"""Routers: list, show, create, change, delete.

Each host that has guests on a router's networks routes for them itself; what hosts are told is derived from the rows
(`hostler.resources.network.router_specs`). Interfaces are `api.core.network.router_interfaces`'s, the external gateway
`api.core.network.router_gateway`'s, who leads outside `api.core.network.router_providers`'s.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network import router_gateway, router_providers
from api.core.network.scope import Caller, claim_quota, find_to_change, owner_of_new, set_changed
from api.core.network.verbs import Verbs, each
from hostler import errors
from hostler.db.models import FixedIp, Port, Router, RouterPort, Subnet
from hostler.query.resources import declare
from hostler.resources.network import ipam
from hostler.resources.network.router_specs import GATEWAY, INTERFACE, SNAT
from hostler.resources.network.routers import notify_of_router, remove_ports

ROUTER: Final = declare(Router)
MAX_ROUTES: Final = 30


@dataclasses.dataclass(frozen=True)
class RouterRecord:
    """A router; with a gateway, its external network and the addresses [(subnet id, address)] there."""

    row: Router
    external_network_id: str | None = None
    external_addresses: tuple[tuple[str, str], ...] = ()


def _change(session: orm.Session, caller: Caller, router: Router, values: Mapping[str, Any]) -> list[str]:
    caller.check("update_router", router.project_id)
    new = {name: value for name, value in values.items()
           if name not in ("gateway", "routes", *router_providers.SAID)}
    distributed = router_providers.asked(caller, router.project_id, values, "update", router)
    if "routes" in values:
        new["routes"] = checked_routes(session, router, values["routes"] or ())
    changed = set_changed(router, new)
    regated = "gateway" in values and router_gateway.set_gateway(
        session, caller, router, values["gateway"] or {}, "update")
    if regated and not changed:
        router.revision += 1
    session.flush()
    if distributed != router.distributed:
        router.revision += not changed and not regated
        return router_providers.swap(session, caller, router, distributed=distributed)
    live = regated or changed & {"admin_state_up", "routes"}
    operation_ids = notify_of_router(session, caller.context, router.id) if live else []
    if regated and not router.distributed:
        operation_ids += router_providers.elect(session, caller, router.id)
    return operation_ids


def change_routes(caller: Caller, identifier: str, given: Sequence[Mapping[str, str]], *, add: bool) -> RouterRecord:
    """Add routes to a router's extra routes, or remove some; one that is there already, or is not, changes nothing."""
    def work(session: orm.Session) -> tuple[RouterRecord, list[str]]:
        router = find_to_change(session, caller, Router, identifier)
        caller.check("add_extraroutes" if add else "remove_extraroutes", router.project_id)
        named = [{"destination": str(destination), "nexthop": str(nexthop)}
                 for destination, nexthop in map(_parsed, given)]
        if add:
            routes = checked_routes(session, router, [
                *router.routes, *(route for route in _without_repeats(named) if route not in router.routes)])
        else:
            routes = [route for route in router.routes if route not in named]
        changed = set_changed(router, {"routes": routes})
        session.flush()
        operation_ids = notify_of_router(session, caller.context, router.id) if changed else []
        return records(session, caller, [router])[0], operation_ids
    return caller.write(work)


def remove_router(session: orm.Session, caller: Caller, router: Router) -> list[str]:
    """Delete a router that the caller holds, with its gateway; raises InUse."""
    caller.check("delete_router", router.project_id)
    ports: defaultdict[str, list[str]] = defaultdict(list)
    for port in session.scalars(sa.select(RouterPort).where(RouterPort.router_id == router.id)):
        ports[port.role].append(port.port_id)
    if ports[INTERFACE]:
        raise _in_use(router.id)
    remove_ports(session, [*ports[GATEWAY], *ports[SNAT]])
    session.delete(router)
    return []


def records(session: orm.Session, _caller: Caller, rows: Sequence[Router]) -> list[RouterRecord]:
    """Return routers with their gateways."""
    networks: dict[str, str] = {}
    addresses: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for router_id, network_id, subnet_id, address in session.execute(
            sa.select(RouterPort.router_id, Port.network_id, FixedIp.subnet_id, FixedIp.ip_address)
            .join(Port, Port.id == RouterPort.port_id).outerjoin(FixedIp, FixedIp.port_id == Port.id)
            .where(RouterPort.router_id.in_([row.id for row in rows]), RouterPort.role == GATEWAY)
            .order_by(FixedIp.ip_address)).tuples():
        networks[router_id] = network_id
        if subnet_id is not None:  # the external network has no subnet yet
            addresses[router_id].append((subnet_id, address))
    return [RouterRecord(row, networks.get(row.id), tuple(addresses[row.id])) for row in rows]


def checked_routes(session: orm.Session, router: Router, given: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the canonical spelling of a router's extra routes; raises Invalid for a next hop out of reach."""
    if len(given) > MAX_ROUTES:
        raise errors.Invalid(reason=f"Unable to complete operation for {router.id}. The number of routes exceeds the "
                                    f"maximum {MAX_ROUTES}.")
    held = session.execute(
        sa.select(Subnet.cidr, FixedIp.ip_address).join(FixedIp, FixedIp.subnet_id == Subnet.id)
        .join(RouterPort, RouterPort.port_id == FixedIp.port_id)
        .where(RouterPort.router_id == router.id, RouterPort.role != SNAT)).tuples().all()
    routes = []
    for route in given:
        destination, nexthop = _parsed(route)
        if destination.version != nexthop.version:
            raise _bad_route(router, destination, nexthop, "the nexthop is not of the destination's IP version")
        if not any(nexthop in ipaddress.ip_network(cidr) for cidr, _ in held):
            raise _bad_route(router, destination, nexthop, "the nexthop is not connected with router")
        if any(str(nexthop) == address for _, address in held):
            raise _bad_route(router, destination, nexthop, "the nexthop is used by router")
        routes.append({"destination": str(destination), "nexthop": str(nexthop)})
    if len({(route["destination"], route["nexthop"]) for route in routes}) < len(routes):
        raise errors.Invalid(reason="Invalid input for routes. Reason: Duplicate items in the list.")
    return routes


def _parsed(route: Mapping[str, str]) -> tuple[Any, Any]:
    """Return the destination and the next hop of a route; raises InvalidField."""
    try:
        return ipaddress.ip_network(route["destination"], strict=False), ipam.parse_address(route["nexthop"])
    except ValueError:
        raise errors.InvalidField(f"Invalid input for routes. Reason: '{dict(route)}' is not a valid route.",
                                  field="routes", value=str(dict(route)), reason="no route") from None


def _without_repeats(routes: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [route for index, route in enumerate(routes) if route not in routes[:index]]


def _bad_route(router: Router, destination: Any, nexthop: Any, reason: str) -> errors.Invalid:
    return errors.Invalid(f"Invalid format for routes: [{{'destination': '{destination}', 'nexthop': '{nexthop}'}}], "
                          f"{reason}", reason=reason, router=router.id)


def _in_use(router_id: str) -> errors.InUse:
    return errors.InUse(f"Router {router_id} still has ports", resource="router", id=router_id, reason="interfaces")


def add_router(session: orm.Session, caller: Caller, values: Mapping[str, Any]) -> Router:
    """Write a new router."""
    project_id = owner_of_new(session, caller, values)
    caller.check("create_router", project_id)
    claim_quota(caller, session, project_id, "routers")
    columns = {name: value for name, value in values.items() if name not in ("gateway", *router_providers.SAID)}
    distributed = router_providers.asked(caller, project_id, values, "create")
    router = Router(**{**columns, "project_id": project_id, "distributed": distributed})
    session.add(router)
    session.flush()
    if values.get("gateway"):
        router_gateway.set_gateway(session, caller, router, values["gateway"], "create")
    return router


VERBS: Final = Verbs(resource=ROUTER, records=records, add=each(add_router), change=_change, remove=remove_router,
                     in_use=_in_use)
