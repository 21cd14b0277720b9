"""What a router's namespace translates and refuses, as an nftables script (pure functions).

A floating IP is translated on the way in and on the way out, also between two guests of one router. Everything else
that leaves is sent from the host's own external address. The forward chain judges connections by the translation they
were made with: one whose floating IP has gone, or leads elsewhere, ends at once.

Ports of one floating IP may lead to guests on several hosts, but the address is at one of them, the entry. Were all of
them translated there, answers would have to come back there, from hosts that lead outside themselves. So the entry
translates for its own guests alone, and hands frames for others to their host's router as they came, on the external
network; that one translates and answers directly. It costs one more hop inwards.

Of a router with an elected host, the others translate nothing: they send what goes outside to that host, over a network
that the router joins, to the MAC that its frames have on the wire. Answers come from there straight to the guests.

IPv6 is forwarded as it is. Any host will do for what comes in, because nothing about a connection is kept here: so all
of them answer at the gateway's IPv6 addresses, each with a MAC of its own (anycast, RFC 4291, 2.6), and when one dies,
its neighbours ask again and find another.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping

from compute.network import names, rules
from compute.network.rules import as_set
from hostler.resources.network import kinds
from hostler.resources.server.specs import FloatingIpSpec, ForwardingSpec, RouterPortSpec, RouterSpec

TABLE = "hostler_router"


@dataclasses.dataclass(frozen=True)
class HostRouter:
    """A router as one host makes it, with the floating IPs of the guests there."""

    spec: RouterSpec
    host: str
    floating: tuple[FloatingIpSpec, ...] = ()

    @property
    def ports(self) -> tuple[RouterPortSpec, ...]:
        """The interfaces, and the gateway if there is one, with the addresses and the MAC it has on this host."""
        return (*self.spec.interfaces, *((self.outside,) if self.outside is not None else ()))

    @property
    def forwardings(self) -> tuple[ForwardingSpec, ...]:
        """The port forwardings to guests on this host."""
        return tuple(one for one in self.spec.forwardings if one.host == self.host)

    @property
    def entered(self) -> tuple[ForwardingSpec, ...]:
        """The port forwardings whose address is at this host."""
        return tuple(one for one in self.spec.forwardings if one.entry == self.host)

    @property
    def leader(self) -> str | None:
        """The other host that leads outside in place of this one; empty while no host does."""
        elected = self.spec.elected
        return None if elected is None or elected.get("host") == self.host else elected.get("host", "")

    @property
    def outside(self) -> RouterPortSpec | None:
        """The gateway as it is on this host."""
        if self.spec.gateway is None or self.leader is not None:
            return None
        own = self.spec.outside.get(self.host)
        single = dict.fromkeys([*(one.address for one in self.floating), *(one.address for one in self.entered)])
        return dataclasses.replace(
            self.spec.gateway, mac_address=self.mac_at(self.host),
            addresses=(*((own["address"],) if own else ()), *(f"{address}/32" for address in single),
                       *_of(6, self.spec.gateway.addresses)))

    def mac_at(self, host: str) -> str:
        """Return the MAC that the router has on the external network at a host: an elected one has the gateway's."""
        if self.spec.elected is not None and self.spec.gateway is not None:
            return self.spec.gateway.mac_address
        own = self.spec.outside.get(host)
        return own["mac"] if own else names.outside_mac(self.spec.id, host)

    def way_to_leader(self, ports: Iterable[RouterPortSpec], version: int = 4) -> RouterPortSpec | None:
        """Return which of the interfaces with addresses of a version leads to the host that leads outside: a tunnel, if
        there is one."""
        if not self.leader or self.spec.gateway is None:
            return None
        reaching = [port for port in ports if _of(version, port.addresses)
                    and (port.network.network_type != kinds.FLAT or port.network.physical_network is not None)]
        return min(reaching, key=lambda port: port.network.network_type != kinds.VXLAN, default=None)

    @property
    def source(self) -> str | None:
        """The address that guests without a floating IP are sent out from."""
        own = self.spec.outside.get(self.host)
        return own["address"].partition("/")[0] if own and self.spec.snat else None


def render(router: HostRouter, *, linked: bool = True) -> str:
    """Return the script that makes the tables of the router's namespace exactly so, whatever was there.

    `linked` says that its link to the external network is there.
    """
    lines = [f"add table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"]
    if router.outside is not None:
        device = names.router_inner_name(router.outside.id)
        inward = {one.address: one.fixed_ip_address for one in router.floating}
        lines += [
            *_chain("prerouting", "nat hook prerouting priority -100",
                    [*([f"dnat to ip daddr map {_map(inward)}"] if inward else []),
                     *map(_translated, router.forwardings)]),
            " chain forwarded {", *(f"  {_present(one)} return" for one in router.forwardings), "  drop", " }",
            *_chain("forward", "filter hook forward priority 0", _refused(router, device, inward)),
            *_chain("postrouting", "nat hook postrouting priority 100", _sources(router, device, inward))]
    return "\n".join([*lines, "}", *_handed_over(router, linked=linked), *_ipv6(router), ""])


def _ipv6(router: HostRouter) -> list[str]:
    lines = [f"add table inet {TABLE}", f"delete table inet {TABLE}"]
    inside = [str(ipaddress.ip_interface(address).network)
              for port in router.spec.interfaces for address in _of(6, port.addresses)]
    if not inside:
        return lines
    # The process that advertises routers would answer it as well; each network has a server.
    chains = _chain("input", "filter hook input priority 0", ["meta nfproto ipv6 udp dport 547 drop"])
    if router.outside is not None:
        behind = rules.collapse([*inside, *(route["destination"] for route in router.spec.routes)], version=6)
        chains += _chain("forward", "filter hook forward priority 0",
                         [f'oifname "{names.router_inner_name(router.outside.id)}" ip6 saddr != {as_set(behind)} drop'])
    return [*lines, f"table inet {TABLE} {{", *chains, "}"]


def _of(version: int, addresses: Iterable[str]) -> list[str]:
    return [address for address in addresses if ipaddress.ip_interface(address).version == version]


def _handed_over(router: HostRouter, *, linked: bool) -> list[str]:
    lines = [f"add table netdev {TABLE}", f"delete table netdev {TABLE}"]
    elsewhere = [one for one in router.entered if one.host != router.host]
    if router.outside is None or not linked or not elsewhere:
        return lines
    device = names.router_inner_name(router.outside.id)
    # With this host's MAC as the sender, or the switches would look for the real one here.
    way = f'ether saddr set {router.outside.mac_address} ether daddr set {{}} fwd to "{device}"'
    rules = [f"{_named(one)} {way.format(router.mac_at(one.host))}" for one in elsewhere]
    return [*lines, f"table netdev {TABLE} {{",
            *_chain("entry", f'filter hook ingress device "{device}" priority 0', rules), "}"]


def _named(one: ForwardingSpec) -> str:
    return f"ip daddr {one.address} {one.protocol} dport {_range(one.external)}"


def _translated(one: ForwardingSpec) -> str:
    (first, last), (inner, inner_last) = one.external, one.internal
    if inner == inner_last:
        target = f"{one.fixed_ip_address}:{inner}"
    elif inner == first:
        target = one.fixed_ip_address
    else:
        ports = {str(port): str(port - first + inner) for port in range(first, last + 1)}
        target = f"{one.fixed_ip_address} : {one.protocol} dport map {_map(ports)}"
    return f"{_named(one)} dnat to {target}"


def _present(one: ForwardingSpec) -> str:
    """Return what matches a connection that the forwarding made."""
    return (f"ct original ip daddr {one.address} meta l4proto {one.protocol} ct original proto-dst "
            f"{_range(one.external)} ct reply ip saddr {one.fixed_ip_address} ct reply proto-src "
            f"{_range(one.internal)}")


def _range(ports: tuple[int, int]) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


def _refused(router: HostRouter, device: str, inward: Mapping[str, str]) -> list[str]:
    lines = [*_elsewhere(router, device), *(
        f"ct status dnat ct original ip daddr {address} ct reply ip saddr != {fixed} drop"
        for address, fixed in inward.items())]
    known = f"ct original ip daddr != {as_set(inward)} " if inward else ""
    lines.append(f"ct status dnat {known}jump forwarded")
    own = [*inward, *([router.source] if router.source else [])]
    gone = f"ct reply ip daddr != {as_set(own)} " if own else ""
    lines.append(f'oifname "{device}" ct state established ct status snat ct direction original {gone}drop')
    if router.spec.snat:
        lines.append(f'iifname "{device}" ct state new ct status & dnat == 0 drop')
        if router.source is None:
            floating = f"ip saddr != {as_set(inward.values())} " if inward else ""
            lines.append(f'oifname "{device}" ct direction original {floating}drop')
    return lines


def _elsewhere(router: HostRouter, device: str) -> list[str]:
    """Return what refuses the way to the host that led outside before, as long as routes still lead there.

    A connection that took it while these rules are in force would be known as one that is not translated, for good.
    """
    behind = rules.collapse([*(address for port in router.spec.interfaces for address in port.addresses),
                             *(route["destination"] for route in router.spec.routes)])
    return [f'oifname != "{device}" ip daddr != {as_set(behind)} drop'] if behind and "0.0.0.0/0" not in behind else []


def _sources(router: HostRouter, device: str, inward: Mapping[str, str]) -> list[str]:
    lines = []
    if inward:
        outward = _map({fixed: address for address, fixed in inward.items()})
        lines += [f"{which} snat to ip saddr map {outward}" for which in (f'oifname "{device}"', "ct status dnat")]
    if router.source is not None:
        inside = as_set(sorted({str(ipaddress.ip_interface(address).network)
                              for port in router.spec.interfaces for address in _of(4, port.addresses)}))
        lines += [f'oifname "{device}" ip saddr != {router.source} snat to {router.source}',
                  f"ct status dnat ip saddr {inside} snat to {router.source}"]
    return lines


def _chain(name: str, hook: str, lines: Iterable[str]) -> list[str]:
    return [f" chain {name} {{", f"  type {hook}; policy accept;", *(f"  {line}" for line in lines), " }"]


def _map(items: Mapping[str, str]) -> str:
    return as_set(f"{key} : {value}" for key, value in sorted(items.items()))
