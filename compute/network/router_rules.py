"""What a router's namespace translates and refuses, as an nftables script (pure functions).

A floating IP is translated on the way in and on the way out, also between two guests of one router. Everything else
that leaves is sent from the host's own external address. The forward chain judges connections by the translation they
were made with: one whose floating IP has gone, or leads elsewhere, ends at once.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping

from compute.network import names
from hostler.resources.server.specs import FloatingIpSpec, RouterPortSpec, RouterSpec

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
    def outside(self) -> RouterPortSpec | None:
        """The gateway as it is on this host."""
        if self.spec.gateway is None:
            return None
        own = self.spec.outside.get(self.host)
        floating = tuple(f"{one.address}/32" for one in self.floating)
        return dataclasses.replace(
            self.spec.gateway, mac_address=own["mac"] if own else names.outside_mac(self.spec.id, self.host),
            addresses=(*((own["address"],) if own else ()), *floating))

    @property
    def source(self) -> str | None:
        """The address that guests without a floating IP are sent out from."""
        own = self.spec.outside.get(self.host)
        return own["address"].partition("/")[0] if own and self.spec.snat else None


def render(router: HostRouter) -> str:
    """Return the script that makes the table of the router's namespace exactly so, whatever was there."""
    lines = [f"add table ip {TABLE}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"]
    if router.outside is not None:
        device = names.router_inner_name(router.outside.id)
        inward = {one.address: one.fixed_ip_address for one in router.floating}
        lines += [
            *_chain("prerouting", "nat hook prerouting priority -100",
                    [f"dnat to ip daddr map {_map(inward)}"] if inward else []),
            *_chain("forward", "filter hook forward priority 0", _refused(router, device, inward)),
            *_chain("postrouting", "nat hook postrouting priority 100", _sources(router, device, inward))]
    return "\n".join([*lines, "}", ""])


def _refused(router: HostRouter, device: str, inward: Mapping[str, str]) -> list[str]:
    lines = [f"ct status dnat ct original ip daddr {address} ct reply ip saddr != {fixed} drop"
             for address, fixed in inward.items()]
    known = f"ct original ip daddr != {_set(inward)} " if inward else ""
    lines.append(f"ct status dnat {known}drop")
    own = [*inward, *([router.source] if router.source else [])]
    gone = f"ct reply ip daddr != {_set(own)} " if own else ""
    lines.append(f'oifname "{device}" ct state established ct status snat ct direction original {gone}drop')
    if router.spec.snat:
        lines.append(f'iifname "{device}" ct state new ct status & dnat == 0 drop')
        if router.source is None:
            floating = f"ip saddr != {_set(inward.values())} " if inward else ""
            lines.append(f'oifname "{device}" ct direction original {floating}drop')
    return lines


def _sources(router: HostRouter, device: str, inward: Mapping[str, str]) -> list[str]:
    lines = []
    if inward:
        outward = _map({fixed: address for address, fixed in inward.items()})
        lines += [f"{which} snat to ip saddr map {outward}" for which in (f'oifname "{device}"', "ct status dnat")]
    if router.source is not None:
        inside = _set(sorted({str(ipaddress.ip_interface(address).network)
                              for port in router.spec.interfaces for address in port.addresses}))
        lines += [f'oifname "{device}" ip saddr != {router.source} snat to {router.source}',
                  f"ct status dnat ip saddr {inside} snat to {router.source}"]
    return lines


def _chain(name: str, hook: str, lines: Iterable[str]) -> list[str]:
    return [f" chain {name} {{", f"  type {hook}; policy accept;", *(f"  {line}" for line in lines), " }"]


def _set(items: Iterable[str]) -> str:
    return f"{{ {', '.join(items)} }}"


def _map(items: Mapping[str, str]) -> str:
    return _set(f"{key} : {value}" for key, value in sorted(items.items()))
