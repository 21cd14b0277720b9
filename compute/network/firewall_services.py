"""What the packet filter says about DHCP and DNS that an elected router gives (pure functions).

`compute.network.firewall` puts the lines into its chains.

Where each host serves its own guests, neither crosses an uplink. Where the elected host of a router does, the naive way
is to let guests' broadcasts out; but then every host and machine of the segment hears them, and what goes to the
router's address would end at this host's router, which has it, too. So a host sends its guests' requests to the MAC
that the elected host's router has on the wire (`names.wire_mac`), whatever address they are to; from there come the
answers. Security groups do not ask about DHCP, here or there; about DNS they do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from compute.network import names
from compute.network.links import Layout
from hostler.resources.network import services
from hostler.resources.server.specs import RouterPortSpec

_REQUEST = "ether type ip udp sport 68 udp dport 67"
_ANSWER = "ether type ip udp sport 67 udp dport 68"
_PROTOCOLS = ("udp", "tcp")


@dataclasses.dataclass(frozen=True)
class Way:
    """A router's port on the network, whose host `leader` gives DHCP, and DNS at `names`."""

    port: RouterPortSpec
    leader: str
    dhcp: bool
    dns: tuple[str, ...]

    def wire(self) -> str:
        """Return the MAC of the elected host's router on the wire."""
        return names.wire_mac(self.port.id, self.leader)


def ways(layout: Layout) -> list[Way]:
    """Return what elected hosts give on a network."""
    network, found = layout.network, dict[str, Way]()
    for service in (services.DHCP, services.DNS):
        for subnet in network.subnets:
            router, port = services.giver(network, subnet, service) or (None, None)
            if router is None or port is None or not router.elected:
                continue
            way = found.get(port.id, Way(port, router.elected["host"], False, ()))
            found[port.id] = (dataclasses.replace(way, dhcp=True) if service == services.DHCP else
                              dataclasses.replace(way, dns=(*way.dns, services.router_address(port, subnet))))
    return list(found.values())


def from_guests(layout: Layout, taps: Sequence[str]) -> list[str]:
    """Return the rules that send guests' requests to the elected host; after those about who guests may be."""
    lines = []
    for way in ways(layout) if taps else ():
        there = way.port.mac_address if way.leader == layout.host else way.wire()
        requests = [*([_REQUEST] if way.dhcp else []), *_asking(way)]
        lines += [f"iifname {_set(f'{chr(34)}{tap}{chr(34)}' for tap in taps)} {match} ether daddr set {there}"
                  for match in requests]
    return lines


def from_uplink(layout: Layout) -> list[str]:
    """Return the rules that let in requests to this host's router, or the elected host's answers."""
    lines = []
    for way in ways(layout):
        if way.leader == layout.host:
            lines += [f'iifname "{layout.uplink}" ether daddr {way.wire()} {match} ether daddr set '
                      f"{way.port.mac_address} accept" for match in [*([_REQUEST] if way.dhcp else []), *_asking(way)]]
        else:
            lines += [f'iifname "{layout.uplink}" ether saddr {way.wire()} {match} accept'
                      for match in [*([_ANSWER] if way.dhcp else []), *_answering(way)]]
    return lines


def forwarded(layout: Layout, judged: Sequence[str]) -> list[str]:
    """Return the rules that let requests through to the router or out, and answers back; `judged` are the rules about
    what guests may send."""
    lines = []
    for way in ways(layout):
        here = names.router_host_name(way.port.id)
        if way.leader == layout.host:
            lines += [f'oifname "{here}" {_REQUEST} accept', f'iifname "{here}" {_ANSWER} accept'] if way.dhcp else []
        elif layout.uplink is not None:
            out = f'oifname "{layout.uplink}" ether daddr {way.wire()}'
            # Other answers have been dropped on their way in (`from_uplink`).
            lines += [f"{out} {_REQUEST} accept", f'iifname "{layout.uplink}" {_ANSWER} accept'] if way.dhcp else []
            lines += [f"{out} {match} {rule}" for match in _asking(way) for rule in [*judged, "accept"]]
    return lines


def _asking(way: Way) -> list[str]:
    return [f"ip daddr {_set(way.dns)} {protocol} dport 53" for protocol in _PROTOCOLS] if way.dns else []


def _answering(way: Way) -> list[str]:
    return [f"ip saddr {_set(way.dns)} {protocol} sport 53" for protocol in _PROTOCOLS] if way.dns else []


def _set(items: Iterable[str]) -> str:
    return f"{{ {', '.join(items)} }}"
