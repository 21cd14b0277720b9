"""What a host's kernel really has for its networks and routers, against what this agent's records say.

For the doctor and for `hostler-manage trace-packet`. Looking changes nothing. The kernel is read before the records:
what is made in between is in both, because records are written first and removed last.

Rules are compared with what `nft` makes of our script in a namespace of its own, since it prints them in words of its
own.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from compute.network import firewall, ipv6, links, names, namespaces, nft, overlay, router_routes, router_rules
from compute.network.links import Layout
from compute.network.overlay import Entry
from compute.network.records import NetworkRecord
from compute.network.router_routes import Route
from compute.network.router_rules import HostRouter

_TABLE = re.compile(names.table_name("0" * 11).replace("0" * 11, "([0-9a-f]{11})"))
_OURS = (names.BRIDGE_PREFIX, names.VETH_HOST_PREFIX, names.VXLAN_PREFIX, names.VLAN_PREFIX, names.ROUTER_HOST_PREFIX,
         names.TAP_PREFIX)


@dataclasses.dataclass(frozen=True, order=True)
class Difference:
    """Something of a `network`, `router` or `port`, or a `link` or `table` of no one, that is there and should not
    (`leftover`), or should be there and is not."""

    type: str
    id: str
    what: str
    leftover: bool = False

    def to_wire(self) -> dict[str, Any]:
        """Return it as a map."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Seen:
    """The host's links by name, its tables, and the directories of networks and routers."""

    links: Mapping[str, Any]
    tables: frozenset[tuple[str, str]]
    networks: frozenset[str]
    routers: frozenset[str]


def look(networks: Path, routers: Path) -> Seen:
    """Read what is there; raises `AgentError`."""
    with links.netlink() as ipr:
        there = {str(link.get_attr("IFLA_IFNAME")): link for link in ipr.get_links()}
    return Seen(there, frozenset(nft.tables() or ()), *(frozenset(
        path.name for path in root.iterdir()) if root.is_dir() else frozenset() for root in (networks, routers)))


def strays(seen: Seen, records: Mapping[str, NetworkRecord], routers: Mapping[str, HostRouter]) -> Iterator[Difference]:
    """Yield what belongs to no network, router or port on this host."""
    wanted = {*(name(network_id) for network_id in records for name in (
        names.bridge_name, names.veth_host_name, names.vxlan_name, names.vlan_name)),
              *(names.router_host_name(port.id) for router in routers.values() for port in router.ports),
              *(names.tap_name(port_id) for record in records.values() for port_id in record.ports)}
    yield from (Difference("link", name, "is there", leftover=True) for name in sorted(seen.links)
                if name.startswith(_OURS) and name not in wanted)
    known = {names.short_id(network_id) for network_id in records}
    yield from (Difference("table", f"{family} {name}", "is there", leftover=True)
                for family, name in sorted(seen.tables) if (found := _TABLE.fullmatch(name)) and found[1] not in known)
    yield from (Difference("network", one, "has a namespace or files", leftover=True)
                for one in sorted(seen.networks - records.keys()))
    yield from (Difference("router", one, "has a namespace or files", leftover=True)
                for one in sorted(seen.routers - routers.keys()))


def network(seen: Seen, record: NetworkRecord, layout: Layout, members: Mapping[str, Sequence[str]],
            places: frozenset[Entry]) -> Iterator[Difference]:
    """Yield how a network differs: links, rules, and, of a VXLAN network, the lines that lead to other hosts.

    `members` are those of the groups that its ports name, `places` the lines there should be.
    """
    lacks = functools.partial(Difference, "network", record.network.id)
    bridge = seen.links.get(layout.bridge)
    if not namespaces.exists(layout.namespace):
        yield lacks("its namespace for DHCP and metadata")
    for name in (layout.bridge, layout.veth, *([layout.uplink] if layout.uplink is not None else [])):
        link = seen.links.get(name)
        if link is None:
            yield lacks(f"its link {name}")
        elif name != layout.bridge and bridge is not None and link.get_attr("IFLA_MASTER") != bridge["index"]:
            yield lacks(f"its link {name} in the bridge")
        elif link["flags"] & 1 == 0:
            yield lacks(f"its link {name} up")
    for port_id in sorted(record.ports):
        tap = seen.links.get(names.tap_name(port_id))
        if tap is not None and (bridge is None or tap.get_attr("IFLA_MASTER") != bridge["index"]):
            yield Difference("port", port_id, f"its device {names.tap_name(port_id)} in the bridge")
    table = names.table_name(record.network.id)
    script = firewall.render(layout, record.zone, record.port_specs, members)
    for family in ("bridge", "inet"):
        yield from _rules(lacks, family, table, script)
    device = seen.links.get(names.vxlan_name(record.network.id))
    if device is not None and bridge is not None:
        with links.netlink() as ipr:
            there = frozenset(overlay.read(ipr, device["index"], bridge["index"]))
        yield from (lacks(describe(entry)) for entry in sorted(places - there))
        yield from (lacks(describe(entry), leftover=True) for entry in sorted(there - places))


def router(seen: Seen, wanted: HostRouter, namespace: Path) -> Iterator[Difference]:
    """Yield how a router differs: links, addresses, rules and routes."""
    lacks = functools.partial(Difference, "router", wanted.spec.id)
    if not namespaces.exists(namespace):
        yield lacks("its namespace")
        return
    addresses = namespaces.run_inside(namespace, _addresses)
    linked = [port for port in wanted.ports if names.bridge_name(port.network.id) in seen.links]
    for port in linked:
        inner = names.router_inner_name(port.id)
        if names.router_host_name(port.id) not in seen.links or inner not in addresses:
            yield lacks(f"its link to network {port.network.id}")
            continue
        should = {str(ipaddress.ip_interface(address)) for address in port.addresses}
        there = {address for address in addresses[inner] if not ipaddress.ip_interface(address).is_link_local}
        yield from (lacks(f"its address {address}") for address in sorted(should - there))
        yield from (lacks(f"its address {address}", leftover=True) for address in sorted(there - should))
    known = {names.router_inner_name(port.id) for port in wanted.ports}
    yield from (lacks(f"its link {name}", leftover=True) for name in sorted(addresses)
                if name.startswith(names.ROUTER_INNER_PREFIX) and name not in known)
    script = router_rules.render(wanted, linked=False)
    families = ("ip", "inet") if any(map(ipv6.router_addresses, wanted.spec.interfaces)) else ("ip",)
    yield from namespaces.run_inside(namespace, lambda: [
        difference for family in families for difference in _rules(lacks, family, router_rules.TABLE, script)])
    routes = router_routes.wanted(wanted, linked).keys()
    present, made = namespaces.run_inside(namespace, _routes)
    yield from (lacks(f"its route to {route}") for route in sorted(routes - present, key=str))
    yield from (lacks(f"its route to {route}", leftover=True) for route in sorted(made - routes, key=str))


def external_addresses(namespace: Path, wanted: HostRouter) -> list[str]:
    """Return the addresses that a router really has on its external network here, without prefix lengths; link-local
    ones, which no record has, are left out."""
    if wanted.outside is None or not namespaces.exists(namespace):
        return []
    inner = names.router_inner_name(wanted.outside.id)
    return sorted(address.partition("/")[0] for address in namespaces.run_inside(namespace, _addresses).get(inner, ())
                  if not ipaddress.ip_interface(address).is_link_local)


def lacking(seen: Seen, network_id: str, asked: Iterable[Entry]) -> list[Entry]:
    """Return which of some lines the tables of a VXLAN network do not have; none of them without its devices."""
    device, bridge = seen.links.get(names.vxlan_name(network_id)), seen.links.get(names.bridge_name(network_id))
    there: frozenset[Entry] = frozenset()
    if device is not None and bridge is not None:
        with links.netlink() as ipr:
            there = frozenset(overlay.read(ipr, device["index"], bridge["index"]))
    return sorted(frozenset(asked) - there)


def describe(entry: Entry) -> str:
    """Return a line's words for a person."""
    words = {"device": "forwarding line {0.key} → {0.value} of its tunnel",
             "bridge": "forwarding line {0.key} of its bridge", "neighbours": "neighbour line {0.key} → {0.value}"}
    return words[entry.table].format(entry)


def _rules(lacks: Callable[..., Difference], family: str, table: str, script: str) -> Iterator[Difference]:
    if nft.table(family, table) != namespaces.try_in_fresh(lambda: _listed(script, family, table)):
        yield lacks(f"its rules in table {family} {table}")


def _listed(script: str, family: str, table: str) -> Any:
    nft.apply(script)
    return nft.table(family, table)


def _addresses() -> dict[str, set[str]]:
    """Return link → its addresses with prefix lengths; run in the namespace."""
    with links.netlink() as ipr:
        by_index = {link["index"]: str(link.get_attr("IFLA_IFNAME")) for link in ipr.get_links()}
        found: dict[str, set[str]] = {name: set() for name in by_index.values()}
        for message in ipr.get_addr():
            if message["index"] in by_index:
                found[by_index[message["index"]]].add(f"{message.get_attr('IFA_ADDRESS')}/{message['prefixlen']}")
    return found


def _routes() -> tuple[set[Route], set[Route]]:
    with links.netlink() as ipr:
        return router_routes.present(ipr)
