"""Goes with a packet from hop to hop, and says at each whether it is let through.

What is missing in a host's kernel on the way drops the packet; rules that differ from those that the records need may.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, Final

from conductor.trace import rules
from conductor.trace.endpoints import End, Place
from conductor.trace.rules import Packet
from hostler.resources.network import kinds
from hostler.resources.server.specs import NetworkSpec, RouterPortSpec, RouterSpec

OK, DROP, DOUBT, UNSEEN = "ok", "drop", "doubt", "unseen"
_RULES: Final = "its rules"
# Without these, packets between ports may pass all the same.
_MAY_PASS: Final = (_RULES, "its DHCP server", "its server for")


@dataclasses.dataclass(frozen=True)
class Hop:
    """What happens to the packet at a place: it passes, is dropped, may be dropped, or nobody can tell."""

    where: str
    what: str
    state: str = OK


class Walk:
    """One packet's way. `real` has what each host said (`inspect_network`), nothing of those that did not answer."""

    def __init__(self, packet: Packet, source: End, address: str, target: End | None,
                 real: Mapping[str, Mapping[str, Any]], *, inner_port: int | None = None) -> None:
        self._packet, self._source, self._address, self._target, self._real = packet, source, address, target, real
        # What the receiver sees, where addresses or ports are translated.
        self._seen_from = source.address
        self._arriving = packet if inner_port is None else dataclasses.replace(packet, port=inner_port)
        self._translated = False

    def hops(self) -> Iterator[Hop]:
        """Yield them up to the first that drops the packet."""
        for hop in self._all():
            yield hop
            if hop.state == DROP:
                return

    def _all(self) -> Iterator[Hop]:
        source, target = self._source, self._target
        yield from self._port(source)
        yield from self._judged(source, "egress", self._packet, self._address, target)
        if source.place is None:
            return
        yield from self._on_host(source.place, "network", source.port.network.id, "network")
        if target is not None and target.floating is None and target.port.network.id == source.port.network.id:
            yield from self._between(source.port.network, source.place, target)
        else:
            yield from self._routed(source, source.place)
        if target is not None:
            yield from self._port(target)
            yield from self._judged(target, "ingress", self._arriving, self._seen_from,
                                    None if self._translated else source)
            if target.place is not None and target.host != source.host:
                yield from self._on_host(target.place, "network", target.port.network.id, "network")

    def _port(self, end: End) -> Iterator[Hop]:
        port, said = end.port, f"port {end.port.id} ({end.address})"
        if end.place is None:
            yield Hop(end.host, f"{said} is on no host: its server was never started, is shelved, or failed", DROP)
            return
        if not port.admin_state_up:
            yield Hop(end.host, f"{said} is switched off (admin_state_up is false)", DROP)
        if end.status != "ACTIVE":
            yield Hop(end.host, f"{said} is {end.status}: is its server switched on?", DOUBT)
        else:
            yield Hop(end.host, f"{said} is up")
        yield from self._on_host(end.place, "port", port.id, "port")

    def _judged(self, end: End, direction: str, packet: Packet, peer: str, other: End | None) -> Iterator[Hop]:
        if not end.port.port_security:
            yield Hop(end.host, f"port {end.port.id} has no port security: no rules apply")
            return
        groups = other.groups if other is not None and other.floating is None else ()
        named = ", ".join(f"{name} ({group_id})" for group_id, name in end.groups.items())
        way = f"{packet} {'to' if direction == 'egress' else 'from'} {peer}"
        if rules.passes(end.port.rules, direction, packet, peer, groups):
            yield Hop(end.host, f"an {direction} rule of the port's security groups lets {way} pass")
        elif not end.groups:
            yield Hop(end.host, f"port {end.port.id} has no security group: nothing passes", DROP)
        else:
            yield Hop(end.host, f"no {direction} rule of the port's security groups lets {way} pass: {named}", DROP)

    def _on_host(self, place: Place, kind: str, identifier: str, noun: str) -> Iterator[Hop]:
        """Yield how the host's kernel differs from what the thing needs. Lines for single ports are `_between`'s."""
        real = self._real.get(place.name)
        if real is None:
            if kind == "network":
                yield Hop(place.name, "the host does not answer: what its kernel really has is not known", UNSEEN)
            return
        for one in real["differences"]:
            if (one["type"], one["id"]) == (kind, identifier) and "line " not in one["what"]:
                sure = not one["leftover"] and not one["what"].startswith(_MAY_PASS)
                said = ("differ on this host from what the records need" if one["what"].startswith(_RULES) else
                        "is there and should not be" if one["leftover"] else "is missing on this host")
                yield Hop(place.name, f"{noun} {identifier}: {one['what']} {said}", DROP if sure else DOUBT)

    def _between(self, network: NetworkSpec, here: Place, target: End) -> Iterator[Hop]:
        """Go over a network from a host to a port."""
        there = target.place
        if there is None:
            return
        said = f"network {network.id} ({network.network_type})"
        if here.name == there.name:
            yield Hop(here.name, f"{said}: by the host's bridge")
            return
        if network.network_type == kinds.VXLAN:
            yield from self._tunnel(network, said, here, there)
            return
        if network.physical_network is None:
            yield Hop(here.name, f"{said} has no physical network: each host's part is by itself, and the port is on "
                                 f"{there.name}", DROP)
            return
        for place in (here, there):
            yield from _carried(network, place)
        yield Hop(here.name, f"{said}: by physical network {network.physical_network} to {there.name}; its switches "
                             "are not seen")

    def _tunnel(self, network: NetworkSpec, said: str, here: Place, there: Place) -> Iterator[Hop]:
        for place in (here, there):
            if not place.tunnel_ip:
                yield Hop(place.name, f"the host has no tunnel address ([compute] tunnel_ip): it carries no {said}",
                          DROP)
        for place, way in ((here, "so it does not reach the port"), (there, "so no answer comes back")):
            lines = self._real.get(place.name, {}).get("lacking", {}).get(network.id, ())
            for line in lines:
                yield Hop(place.name, f"{said}: {line} is missing on this host, {way}", DROP)
        yield Hop(here.name, f"{said}: by the tunnel {here.tunnel_ip} → {there.tunnel_ip} to {there.name}")

    def _routed(self, source: End, here: Place) -> Iterator[Hop]:
        network, target = source.port.network, self._target
        gateway = _gateway_of(network, source.address)
        router = next((one for one in network.routers if any(
            gateway == address.partition("/")[0] for port in one.interfaces if port.network.id == network.id
            for address in port.addresses)), None)
        if router is None:
            yield _no_router(source, gateway)
            return
        yield from self._on_host(here, "router", router.id, "router")
        if target is not None and target.floating is None and any(
                port.network.id == target.port.network.id for port in router.interfaces):
            yield Hop(here.name, f"router {router.id} sends it to network {target.port.network.id}")
            yield from self._on_host(here, "network", target.port.network.id, "network")
            yield from self._between(target.port.network, here, target)
            if target.place is not None and target.host != source.host:
                yield from self._on_host(target.place, "router", router.id, "router")
            return
        way = next((route for route in router.routes if ipaddress.ip_address(self._address)
                    in ipaddress.ip_network(route["destination"])), None)
        if way is not None:
            yield Hop(here.name, f"router {router.id} sends it to {way['nexthop']} by its route to "
                                 f"{way['destination']}; what is there is not seen", DOUBT)
            return
        yield from self._outward(source, here, router)

    def _outward(self, source: End, here: Place, router: RouterSpec) -> Iterator[Hop]:
        if router.gateway is None:
            yield Hop(here.name, f"router {router.id} has no route to {self._address}: no interface on its network, no "
                                 "extra route, and no external gateway", DROP)
            return
        if router.elected is None:
            yield from _carried(router.gateway.network, here)
        elif not router.elected:
            yield Hop(here.name, f"router {router.id} has no elected host: none with guests of it is up and reaches "
                                 "all its networks", DROP)
            return
        elif router.elected["host"] != here.name:
            here = _leader(router) or here
            yield Hop(source.host, f"router {router.id} sends it to host {here.name}, which leads outside for it")
        if ipaddress.ip_address(source.address).version == 6:
            yield from self._outward_ipv6(here, router, router.gateway)
            return
        floating = [one.address for one in source.port.floating_ips
                    if (one.router_id, one.fixed_ip_address) == (router.id, source.address)]
        own = router.outside.get(here.name)
        if floating or (own and router.snat):
            self._seen_from, self._translated = floating[0] if floating else str(own and own["address"]).partition(
                "/")[0], True
            yield Hop(here.name, f"router {router.id} sends it out as {self._seen_from} "
                                 f"({'its floating IP' if floating else 'SNAT'})")
            yield from self._address_at(here, router.id, self._seen_from)
        elif router.snat:
            yield Hop(here.name, f"router {router.id} has no address of external network {router.gateway.network.id} "
                                 "for this host: are any left?", DROP)
        else:
            yield Hop(here.name, f"router {router.id} sends it out from {source.address} itself, without SNAT: the "
                                 "outside must know a way back", DOUBT)
        if self._target is None:
            yield Hop("outside", f"{self._address} is beyond the external network; what happens there is not seen")
        else:
            yield from self._inward(self._target)

    def _outward_ipv6(self, here: Place, router: RouterSpec, gateway: RouterPortSpec) -> Iterator[Hop]:
        """Leave a router as it is: nothing is translated."""
        own, external = _ipv6_addresses(gateway), gateway.network
        if not own:
            yield Hop(here.name, f"router {router.id} has no IPv6 address on external network {external.id}: it "
                                 "forwards no IPv6 there", DROP)
            return
        if not any(subnet.ip_version == 6 and subnet.gateway_ip for subnet in external.subnets):
            yield Hop(here.name, f"no IPv6 subnet of external network {external.id} has a gateway", DROP)
            return
        for address in own:
            yield from self._address_at(here, router.id, address)
        yield Hop(here.name, f"router {router.id} sends it out as it is: IPv6 is not translated")
        yield Hop("outside", f"answers come back if external network {external.id} has a route to "
                             f"{self._source.address} by {', '.join(own)}", DOUBT)
        if self._target is not None:
            yield from self._inward_ipv6(self._target)

    def _inward_ipv6(self, target: End) -> Iterator[Hop]:
        """Come in from outside by a router of the target's subnet."""
        router = next((one for one in target.port.network.routers if one.gateway and _ipv6_addresses(one.gateway)
                       and any(port.network.id == target.port.network.id and any(
                           ipaddress.ip_address(target.address) in ipaddress.ip_interface(address).network
                           for address in port.addresses) for port in one.interfaces)), None)
        if router is None or router.gateway is None:
            yield from self._inward(target)
            return
        yield Hop("outside", f"it comes in if external network {router.gateway.network.id} has a route to "
                             f"{target.address} by {', '.join(_ipv6_addresses(router.gateway))}", DOUBT)
        place = _leader(router) or target.place
        if place is None:
            return
        yield Hop(place.name, f"router {router.id} sends it to network {target.port.network.id}"
                  + ("" if router.elected else ": here, or on another host with guests of the router"))
        yield from self._on_host(place, "router", router.id, "router")

    def _inward(self, target: End) -> Iterator[Hop]:
        """Come in by a floating IP of the target."""
        address, place = str(target.floating or ""), target.place
        if target.floating is None:
            yield Hop("outside", f"{target.address} is on network {target.port.network.id}, which no router on the way "
                                 "leads to", DROP)
            return
        if place is None:
            return
        leading = next((one.router_id for one in target.port.floating_ips if one.address == address), None) or next(
            (router.id for router in target.port.network.routers for one in router.forwardings
             if one.address == address), None)
        if leading is None:
            yield Hop(place.name, f"floating IP {address} leads nowhere: no router of its port's network serves it",
                      DROP)
            return
        place = next((_leader(one) or place for one in target.port.network.routers if one.id == leading), place)
        yield Hop(place.name, f"floating IP {address} is translated to {target.address} by router {leading}")
        yield from self._on_host(place, "router", leading, "router")
        if any(one.address == address for one in target.port.floating_ips):
            yield from self._address_at(place, leading, address)

    def _address_at(self, place: Place, router_id: str, address: str) -> Iterator[Hop]:
        real = self._real.get(place.name)
        if real is not None and address not in real["addresses"].get(router_id, ()):
            yield Hop(place.name, f"router {router_id} does not have address {address} on this host", DROP)


def _ipv6_addresses(port: RouterPortSpec) -> list[str]:
    return [address.partition("/")[0] for address in port.addresses if ":" in address]


def _leader(router: RouterSpec) -> Place | None:
    """Return the host that is elected for a router; what it reaches was seen to when it was."""
    return Place(router.elected["host"], router.elected["tunnel_ip"], frozenset()) if router.elected else None


def _carried(network: NetworkSpec, place: Place) -> Iterator[Hop]:
    """Yield why a host cannot reach a network's physical network."""
    physical = network.physical_network
    if physical is not None and kinds.PHYSICAL + physical not in place.traits:
        yield Hop(place.name, f"the host has no interface on physical network {physical} ([network] bridge_mappings), "
                              f"which network {network.id} needs", DROP)


def _gateway_of(network: NetworkSpec, address: str) -> str | None:
    return next((subnet.gateway_ip for subnet in network.subnets
                 if ipaddress.ip_address(address) in ipaddress.ip_network(subnet.cidr)), None)


def _no_router(source: End, gateway: str | None) -> Hop:
    network = source.port.network
    if network.host_gateway:
        return Hop(source.host, f"network {network.id}: the host itself is the gateway and masquerades; what is beyond "
                                "is not seen", DOUBT)
    if source.down_routers:
        return Hop(source.host, f"router {', '.join(source.down_routers)} is switched off (admin_state_up is false)",
                   DROP)
    return Hop(source.host, f"network {network.id}: no router has the subnet's gateway address {gateway}" if gateway
               else f"network {network.id}: the subnet of {source.address} has no gateway", DROP)
