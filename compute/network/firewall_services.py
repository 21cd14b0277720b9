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
from collections.abc import Sequence

from compute.network import names
from compute.network.links import Layout
from compute.network.rules import as_set
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

    @property
    def wire(self) -> str:
        """The MAC of the elected host's router on the wire."""
        return names.wire_mac(self.port.id, self.leader)

    @property
    def asking(self) -> list[str]:
        """The matches of questions to its DNS."""
        return [f"ip daddr {as_set(self.dns)} {protocol} dport 53" for protocol in _PROTOCOLS] if self.dns else []

    @property
    def requests(self) -> list[str]:
        """The matches of all that guests ask it."""
        return [*([_REQUEST] if self.dhcp else []), *self.asking]

    @property
    def answers(self) -> list[str]:
        """The matches of all that it answers."""
        dns = [f"ip saddr {as_set(self.dns)} {protocol} sport 53" for protocol in _PROTOCOLS] if self.dns else []
        return [*([_ANSWER] if self.dhcp else []), *dns]


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
        there = way.port.mac_address if way.leader == layout.host else way.wire
        lines += [f"iifname {as_set(f'{chr(34)}{tap}{chr(34)}' for tap in taps)} {match} ether daddr set {there}"
                  for match in way.requests]
    return lines


def from_uplink(layout: Layout) -> list[str]:
    """Return the rules that let in requests to this host's router, or the elected host's answers."""
    lines = []
    for way in ways(layout):
        if way.leader == layout.host:
            lines += [f'iifname "{layout.uplink}" ether daddr {way.wire} {match} ether daddr set '
                      f"{way.port.mac_address} accept" for match in way.requests]
        else:
            lines += [f'iifname "{layout.uplink}" ether saddr {way.wire} {match} accept' for match in way.answers]
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
            out = f'oifname "{layout.uplink}" ether daddr {way.wire}'
            # Other answers have been dropped on their way in (`from_uplink`).
            lines += [f"{out} {_REQUEST} accept", f'iifname "{layout.uplink}" {_ANSWER} accept'] if way.dhcp else []
            lines += [f"{out} {match} {rule}" for match in way.asking for rule in [*judged, "accept"]]
    return lines
