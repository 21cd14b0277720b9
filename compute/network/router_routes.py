"""The routes of a router's namespace: outside, to the host that leads there, and those that its users give it.

What is wanted is said once, for those who make routes and for those who compare them with the kernel's
(`compute.network.inspection`).
"""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import socket
from collections.abc import Collection, Iterator
from typing import Any, Final

from pyroute2.netlink.exceptions import NetlinkError

from compute.network import ipv6, names
from compute.network.router_rules import HostRouter
from hostler.resources.server.specs import RouterPortSpec

LOG = logging.getLogger(__name__)

# rtnetlink(7): who made a route, the main table, a route with no gateway, a gateway that is on no subnet here.
_KERNEL: Final = 2
_STATIC: Final = 4
_MAIN: Final = 254
_SCOPE_LINK: Final = 253
_ONLINK: Final = 4
_PERMANENT: Final = 0x80  # NUD_PERMANENT
# What the host that leads outside is called in the namespace; it is on no wire.
_LEADER: Final = "169.254.0.1"
_ANYWHERE: Final = {4: "0.0.0.0/0", 6: "::/0"}
_NOWHERE: Final = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


@dataclasses.dataclass(frozen=True, order=True)
class Route:
    """Where a destination is: at a gateway, or else on the link itself."""

    destination: str
    gateway: str | None = None

    def __str__(self) -> str:
        return self.destination if self.gateway is None else f"{self.destination} by {self.gateway}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """How a route goes out: by a link, if not by the one that its gateway is on; `onlink`: the gateway is on none."""

    device: str | None = None
    onlink: bool = False


def wanted(router: HostRouter, ports: Collection[RouterPortSpec]) -> dict[Route, Way]:
    """Return the routes of a router that has links for `ports` here."""
    found = {**dict(_outside(router, ports)), **dict(_to_leader(router, ports))}
    near = [ipaddress.ip_interface(address).network for port in ports for address in port.addresses]
    near += [ipaddress.ip_network(route.destination) for route in found if route.gateway is None]
    own = {str(ipaddress.ip_network(route["destination"])): route["nexthop"] for route in router.spec.routes
           if any(ipaddress.ip_address(route["nexthop"]) in network for network in near)}
    return {**{route: way for route, way in found.items() if route.destination not in own},
            **{Route(destination, _plain(nexthop)): Way() for destination, nexthop in own.items()}}


def present(ipr: Any) -> tuple[set[Route], set[Route]]:
    """Return all routes of the main table, and those that the kernel did not make; called in the namespace."""
    messages = [message for family in _NOWHERE for message in ipr.get_routes(family=family, table=_MAIN)]
    return ({_route(message) for message in messages},
            {_route(message) for message in messages if message["proto"] != _KERNEL})


def make(ipr: Any, router: HostRouter, ports: Collection[RouterPortSpec]) -> None:
    """Have these routes and no others; called in the namespace. One that changes is never missing."""
    routes = wanted(router, ports)
    _tell_leader(ipr, router, ports)
    for route, way in routes.items():
        try:
            ipr.route("replace", dst=route.destination, proto=_STATIC, table=_MAIN, **_options(ipr, route, way))
        except NetlinkError as failure:
            LOG.warning("Router %s: the route to %s is not possible on this host: %s", router.spec.id, route, failure)
    for family in _NOWHERE:
        for message in ipr.get_routes(family=family, table=_MAIN):
            route = _route(message)
            if message["proto"] != _KERNEL and route not in routes:
                ipr.route("del", dst=route.destination, table=_MAIN, proto=message["proto"], **{
                    name: value for name, value in (("gateway", route.gateway), ("oif", message.get_attr("RTA_OIF")),
                                                    ("priority", message.get_attr("RTA_PRIORITY"))) if value})


def _outside(router: HostRouter, ports: Collection[RouterPortSpec]) -> Iterator[tuple[Route, Way]]:
    outside = router.outside
    if outside is None or outside not in ports:
        return
    way = Way(device=names.router_inner_name(outside.id))
    gateways: dict[int, str] = {}
    for subnet in outside.network.subnets:
        if subnet.ip_version == 4:
            yield Route(str(ipaddress.ip_network(subnet.cidr))), way
        elif not ipv6.router_addresses(outside):
            continue
        if subnet.gateway_ip is not None:
            gateways.setdefault(subnet.ip_version, subnet.gateway_ip)
    # A gateway of IPv6 may be link-local, and so on any link.
    yield from ((Route(_ANYWHERE[version], _plain(gateway)), way) for version, gateway in gateways.items())


def _to_leader(router: HostRouter, ports: Collection[RouterPortSpec]) -> Iterator[tuple[Route, Way]]:
    """Yield the routes to the host that leads outside, whose addresses here are written and not asked for.

    The subnets of a network may be joined by an interface each, and the kernel takes no IPv6 neighbour on one that has
    no IPv6 address.
    """
    for version, destination in _ANYWHERE.items():
        port = router.way_to_leader(ports, version)
        if port is not None:
            yield (Route(destination, _hop(router, port, version)),
                   Way(device=names.router_inner_name(port.id), onlink=True))


def _tell_leader(ipr: Any, router: HostRouter, ports: Collection[RouterPortSpec]) -> None:
    for version in _ANYWHERE:
        port = router.way_to_leader(ports, version)
        if port is not None:
            ipr.neigh("replace", ifindex=_index(ipr, names.router_inner_name(port.id)),
                      dst=_hop(router, port, version), lladdr=names.wire_mac(port.id, str(router.leader)),
                      state=_PERMANENT)


def _hop(router: HostRouter, port: RouterPortSpec, version: int) -> str:
    return _LEADER if version == 4 else names.wire_address(port.id, str(router.leader))


def _options(ipr: Any, route: Route, way: Way) -> dict[str, Any]:
    found: dict[str, Any] = {"scope": _SCOPE_LINK} if route.gateway is None else {"gateway": route.gateway}
    if way.device is not None:
        found["oif"] = _index(ipr, way.device)
    if way.onlink:
        found["flags"] = _ONLINK
    return found


def _index(ipr: Any, device: str) -> int:
    return int(ipr.link_lookup(ifname=device)[0])


def _route(message: Any) -> Route:
    destination = message.get_attr("RTA_DST") or _NOWHERE[message["family"]]
    return Route(f"{destination}/{message['dst_len']}", message.get_attr("RTA_GATEWAY"))


def _plain(address: str) -> str:
    return str(ipaddress.ip_address(address))
