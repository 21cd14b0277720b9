"""A router on one host: a namespace with a veth pair to the bridge of each of its networks, addresses and routes.

Each function compares with what is there and changes only the difference.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from compute.network import faults, ipv6, names, namespaces, nft, router_rules, sysctl
from compute.network.links import change, find, has, make_addresses, netlink
from compute.network.router_rules import HostRouter
from hostler.resources.server.specs import RouterPortSpec

LOG = logging.getLogger(__name__)

_STATIC = 4  # RTPROT_STATIC, rtnetlink(7)
_SCOPE_LINK = 253
_MAIN = 254
_ONLINK = 4  # RTNH_F_ONLINK, rtnetlink(7)
_PERMANENT = 0x80  # NUD_PERMANENT
# What the host that leads outside is called in the namespace; it is on no wire.
_LEADER = "169.254.0.1"
_ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


def make(router: HostRouter, namespace: Path) -> None:
    """Create or correct a router; its networks' bridges stand, or the interface to one that does not is left out."""
    namespaces.create(namespace)
    with netlink() as ipr:
        there = [port for port in router.ports if _make_veth(ipr, port, namespace)]
    # Before the addresses: nothing is let through untranslated.
    script = router_rules.render(router, linked=router.outside in there)
    namespaces.run_inside(namespace, lambda: nft.apply(script))
    namespaces.run_inside(namespace, lambda: _make_inside(router, there))


def remove(namespace: Path) -> None:
    """Remove a router; fine when it is gone."""
    if namespaces.exists(namespace):
        # The kernel takes a namespace's links away later; a router made again before that would still find them.
        namespaces.run_inside(namespace, lambda: _drop_links(()))
    namespaces.remove(namespace)


def _make_veth(ipr: Any, port: RouterPortSpec, namespace: Path) -> bool:
    outer, inner = names.router_host_name(port.id), names.router_inner_name(port.id)
    bridge, link = find(ipr, names.bridge_name(port.network.id)), find(ipr, outer)
    if bridge is None:
        return False
    if link is not None and not namespaces.run_inside(namespace, lambda: has(inner)):
        ipr.link("del", index=link["index"])
        link = None
    if link is None:
        with namespace.open("rb") as handle:
            ipr.link("add", ifname=outer, kind="veth", mtu=port.network.mtu,
                     peer={"ifname": inner, "net_ns_fd": handle.fileno(), "mtu": port.network.mtu,
                           "address": port.mac_address})
        link = find(ipr, outer)
        if link is None:
            raise faults.fault(f"the link {outer} vanished while it was made")
        sysctl.disable_ipv6(outer)
    change(ipr, link, mtu=port.network.mtu, master=bridge["index"], state="up")
    return True


def _make_inside(router: HostRouter, ports: list[RouterPortSpec]) -> None:
    """Run in the namespace."""
    for setting, value in (("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0"),
                           ("conf/all/arp_ignore", "1"), ("conf/all/arp_announce", "2"),
                           # Guests would remember a host that leads outside now (of IPv6: `router_rules`).
                           ("conf/all/send_redirects", "0"), ("conf/default/send_redirects", "0")):
        sysctl.write(f"ipv4/{setting}", value)
    if sysctl.ipv6_available():
        sysctl.write("ipv6/conf/all/forwarding", "1")
    _drop_links(names.router_inner_name(port.id) for port in ports)
    with netlink() as ipr:
        loopback = find(ipr, "lo")
        if loopback is not None:
            change(ipr, loopback, mtu=loopback.get_attr("IFLA_MTU"), state="up")
        # Floating IPs are announced when their guest is here: its host of before has them as well while it moves.
        quiet = {one.address for one in router.floating} if router.spec.elected is None else set()
        for port in ports:
            for address in _make_port(ipr, port):
                if address not in quiet:
                    announce(names.router_inner_name(port.id), port.mac_address, address)
        _make_routes(ipr, router, {port.id: port for port in ports})


def _make_port(ipr: Any, port: RouterPortSpec) -> Iterable[str]:
    """Return the addresses that it did not have before."""
    name = names.router_inner_name(port.id)
    link = find(ipr, name)
    if link is None:
        raise faults.fault(f"the link {name} vanished while it was made")
    for setting in ("rp_filter", "send_redirects"):
        sysctl.write(f"ipv4/conf/{name}/{setting}", "0")
    if link.get_attr("IFLA_ADDRESS") != port.mac_address:
        ipr.link("set", index=link["index"], address=port.mac_address)
    change(ipr, link, mtu=port.network.mtu, state="up")
    ipv6.make_addresses(ipr, name, link["index"], ipv6.router_addresses(port), forwarding=True)
    wanted = {str(address.ip): address.network.prefixlen for address in map(ipaddress.ip_interface, port.addresses)
              if address.version == 4}
    return make_addresses(ipr, link["index"], wanted)


def _make_routes(ipr: Any, router: HostRouter, ports: dict[str, RouterPortSpec]) -> None:
    wanted: dict[str, dict[str, Any]] = {}
    outside = router.outside
    if outside is not None and outside.id in ports:
        index = ipr.link_lookup(ifname=names.router_inner_name(outside.id))[0]
        for subnet in outside.network.subnets:
            if subnet.ip_version == 4:
                wanted[subnet.cidr] = {"oif": index, "scope": _SCOPE_LINK}
            elif not ipv6.router_addresses(outside):
                continue
            if subnet.gateway_ip is not None:
                # A gateway of IPv6 may be link-local, and so on any link.
                wanted.setdefault(_ANYWHERE[subnet.ip_version], {"gateway": subnet.gateway_ip, "oif": index})
    wanted.update(_make_way_to_leader(ipr, router, ports.values()))
    wanted.update({route["destination"]: {"gateway": route["nexthop"]} for route in router.spec.routes
                   if router.leader is None or any(
                       ipaddress.ip_address(route["nexthop"]) in ipaddress.ip_interface(address).network
                       for port in router.spec.interfaces for address in port.addresses)})
    for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        _make_routes_of(ipr, router, family, {destination: way for destination, way in wanted.items()
                                              if ipaddress.ip_network(destination).version == version})


def _make_way_to_leader(ipr: Any, router: HostRouter, ports: Iterable[RouterPortSpec]) -> dict[str, dict[str, Any]]:
    """Return the routes to the host that leads outside, whose addresses here are written and not asked for."""
    ports = list(ports)
    way = router.way_to_leader(ports)
    if way is None:
        return {}
    index = ipr.link_lookup(ifname=names.router_inner_name(way.id))[0]
    leader = str(router.leader)
    hops = {4: _LEADER}
    if any(":" in address for port in ports for address in port.addresses):
        hops[6] = names.wire_address(way.id, leader)
    for hop in hops.values():
        ipr.neigh("replace", ifindex=index, dst=hop, lladdr=names.wire_mac(way.id, leader), state=_PERMANENT)
    return {_ANYWHERE[version]: {"gateway": hop, "oif": index, "flags": _ONLINK} for version, hop in hops.items()}


def _make_routes_of(ipr: Any, router: HostRouter, family: int, wanted: dict[str, dict[str, Any]]) -> None:
    for message in ipr.get_routes(family=family, table=_MAIN, proto=_STATIC):
        nowhere = "0.0.0.0" if family == socket.AF_INET else "::"
        destination = f"{message.get_attr('RTA_DST') or nowhere}/{message['dst_len']}"
        if destination not in wanted:
            ipr.route("del", dst=destination, table=_MAIN, proto=_STATIC)
    for destination, way in wanted.items():
        try:
            ipr.route("replace", dst=destination, proto=_STATIC, **way)
        except NetlinkError as failure:
            # Its next hop is on a network that this host has not got.
            LOG.warning("Router %s: the route to %s is not possible on this host: %s", router.spec.id, destination,
                        failure)


def _drop_links(wanted: Iterable[str]) -> None:
    """Run in the namespace: remove the router's links but those wanted."""
    keep = set(wanted)
    with netlink() as ipr:
        for link in ipr.get_links():
            name = link.get_attr("IFLA_IFNAME")
            if name.startswith(names.ROUTER_INNER_PREFIX) and name not in keep:
                _retract(name)
                ipr.link("del", index=link["index"])


def _retract(device: str) -> None:
    """Tell guests by an advertisement without lifetime that the router is no longer a way out (RFC 4861, 6.2.5)."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            raw.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 0, 0, 0, 0, 0),
                       ("ff02::1", 0, 0, socket.if_nametoindex(device)))
    except OSError as failure:
        # It may speak no IPv6.
        LOG.debug("Guests on %s were not told that the router goes: %s", device, failure)


def announce(device: str, mac: str, address: str) -> None:
    """Tell the segment, by a gratuitous ARP (RFC 5227), where an address now is; run in the namespace."""
    own, ip = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(address)
    frame = (b"\xff" * 6 + own + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + own + ip + bytes(6) + ip)
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((device, 0))
            raw.send(frame.ljust(60, b"\0"))
    except OSError as failure:
        # Neighbours then ask when what they remember grows old.
        LOG.warning("Address %s could not be announced on %s: %s", address, device, failure)
