"""A router on one host: a namespace with a veth pair to the bridge of each of its networks, addresses and routes.

Each function compares with what is there and changes only the difference.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from compute.network import announcements, faults, ipv6, names, namespaces, nft, router_routes, router_rules, sysctl
from compute.network.links import change, find, has, make_addresses, netlink
from compute.network.router_rules import HostRouter
from hostler.resources.server.specs import RouterPortSpec


def make(router: HostRouter, namespace: Path) -> None:
    """Create or correct a router; its networks' bridges stand, or the interface to one that does not is left out."""
    namespaces.create(namespace)
    with netlink() as ipr:
        there = [port for port in router.ports if _make_veth(ipr, port, namespace)]
    # Before the addresses: nothing is let through untranslated.
    script = router_rules.render(router, linked=router.outside in there)
    namespaces.run_inside(namespace, lambda: nft.apply(script))
    namespaces.run_inside(namespace, lambda: _make_inside(router, there))


def remove(namespace: Path, router: HostRouter | None = None) -> None:
    """Remove a router; fine when it is gone. `router` is what it was made as, where that is known."""
    if namespaces.exists(namespace):
        if router is not None and router.spec.elected is None:
            namespaces.run_inside(namespace, lambda: _hand_on(router))
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
    gateway = router.spec.gateway
    _drop_links({names.router_inner_name(port.id) for port in ports},
                silent=names.router_inner_name(gateway.id) if gateway is not None else None)
    with netlink() as ipr:
        loopback = find(ipr, "lo")
        if loopback is not None:
            change(ipr, loopback, mtu=loopback.get_attr("IFLA_MTU"), state="up")
        # Floating IPs are announced when their guest is here: its host of before has them as well while it moves.
        quiet = {one.address for one in router.floating} if router.spec.elected is None else set()
        for port in ports:
            for address in _make_port(ipr, port):
                if address not in quiet:
                    announcements.announce(names.router_inner_name(port.id), port.mac_address, address)
        router_routes.make(ipr, router, ports)


def _make_port(ipr: Any, port: RouterPortSpec) -> Iterable[str]:
    """Return the addresses that it did not have before, or not with this MAC."""
    name = names.router_inner_name(port.id)
    link = find(ipr, name)
    if link is None:
        raise faults.fault(f"the link {name} vanished while it was made")
    for setting in ("rp_filter", "send_redirects"):
        sysctl.write(f"ipv4/conf/{name}/{setting}", "0")
    moved = link.get_attr("IFLA_ADDRESS") != port.mac_address
    if moved:
        ipr.link("set", index=link["index"], address=port.mac_address)
    ipv6.silence(name, link)
    change(ipr, link, mtu=port.network.mtu, state="up")
    ipv6_addresses = ipv6.router_addresses(port)
    new = ipv6.make_addresses(ipr, name, link["index"], ipv6_addresses, forwarding=True)
    wanted = {str(address.ip): address.network.prefixlen for address in map(ipaddress.ip_interface, port.addresses)
              if address.version == 4}
    new += make_addresses(ipr, link["index"], wanted)
    return [*ipv6_addresses, *wanted] if moved else new


def _hand_on(router: HostRouter) -> None:
    """Run in the namespace: have neighbours outside use another host's router for IPv6, where each host leads."""
    outside = router.outside
    if outside is None:
        return
    device = names.router_inner_name(outside.id)
    given = [one for one in map(ipaddress.ip_interface, outside.addresses) if one.version == 6]
    with netlink() as ipr:
        for index in ipr.link_lookup(ifname=device):
            for address in given:
                with contextlib.suppress(NetlinkError):
                    ipr.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
                announcements.hand_on(device, outside.mac_address, str(address.ip))


def _drop_links(keep: Collection[str], silent: str | None = None) -> None:
    """Run in the namespace: remove the router's links but those to keep.

    From one that is `silent` nothing is sent: another host may have its MAC, and switches would look for it here.
    """
    with netlink() as ipr:
        for link in ipr.get_links():
            name = link.get_attr("IFLA_IFNAME")
            if name.startswith(names.ROUTER_INNER_PREFIX) and name not in keep:
                if name != silent:
                    announcements.retract(name)
                ipr.link("del", index=link["index"])
