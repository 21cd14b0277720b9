"""What the packet filter says about IPv6 (pure functions; `compute.network.firewall` puts the lines into its chains).

A port that has an IPv6 address speaks IPv6 from its addresses, its pairs' and the link-local address of its MAC, and
advertises itself as their neighbour alone. It is never a router or a DHCP server to others (RFC 6105, RFC 7610):
advertisements come from this host's namespaces, or from a physical router for subnets that no host advertises.
What every guest needs to speak IPv6 at all (neighbours, routers, multicast groups) passes without a rule.

nft 1.0.6 has no word for the target of a neighbour message, so it is matched where it stands: 8 bytes into the
ICMPv6 message.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from compute.network import ipv6, names, rules
from compute.network.rules import as_set
from hostler.resources.network import autoconf
from hostler.resources.server.specs import NetworkSpec, PortSpec, RouterPortSpec, RuleSpec

_LISTENERS = "mld-listener-report, mld-listener-done, mld2-listener-report"
_NEIGHBOURS = "nd-neighbor-solicit, nd-neighbor-advert"
# Without a rule: what a guest sends, and what it receives.
_NEEDED: Mapping[str, str] = {
    "egress": f"icmpv6 type {{ nd-router-solicit, {_NEIGHBOURS}, {_LISTENERS} }} return",
    "ingress": f"icmpv6 type {{ mld-listener-query, nd-router-advert, {_NEIGHBOURS} }} return"}
_FROM_CLIENT = "udp sport 546 udp dport 547"


def ranges_by_mac(port: PortSpec) -> dict[str, list[str]]:
    """Return the IPv6 ranges a port may be, by MAC; empty when it has no IPv6 address, and so speaks none."""
    own = port.mac_address.lower()
    found: dict[str, list[str]] = {}
    for mac, cidr in [*((own, fixed.ip_address) for fixed in port.fixed_ips),
                      *(((pair.get("mac_address") or own).lower(), pair["ip_address"]) for pair in port.allowed_pairs)]:
        if ":" in cidr:
            found.setdefault(mac, [autoconf.link_local(mac)]).append(cidr)
    return {mac: rules.collapse(cidrs, version=6) for mac, cidrs in found.items()}


def spoof(allowed: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the rules for what a port sends; `allowed` are its ranges by MAC."""
    lines = ["icmpv6 type { nd-router-advert, nd-redirect } drop", "udp sport 547 drop",
             f"ip6 saddr :: icmpv6 type {{ nd-router-solicit, {_LISTENERS} }} return"]
    for mac, cidrs in sorted(allowed.items()):
        for target in map(_target, cidrs):
            # From `::` a guest asks whether its address is taken (RFC 4862, 5.4).
            lines += [f"ether saddr {mac} ip6 saddr :: icmpv6 type nd-neighbor-solicit {target}return",
                      f"ether saddr {mac} ip6 saddr {as_set(cidrs)} icmpv6 type nd-neighbor-advert {target}return"]
    lines.append("icmpv6 type nd-neighbor-advert drop")
    lines += [f"ether saddr {mac} ip6 saddr {as_set(cidrs)} return" for mac, cidrs in sorted(allowed.items())]
    return [*lines, "drop"]


def judge(direction: str, port_rules: Sequence[RuleSpec], known: Sequence[str]) -> list[str]:
    """Return the rules of a port's security groups in one direction, after those for what is `known` already."""
    lines = [_NEEDED[direction], *known]
    for rule in port_rules:
        if rule.direction == direction and rule.ethertype == "IPv6":
            lines.extend(f"{match} return".strip() for match in rules.matches(rule))
    return [*dict.fromkeys(lines), "drop"]


def guard(port: PortSpec) -> list[str]:
    """Return the rules between a port without port security and our services, on a network with IPv6."""
    if not ipv6.subnets(port.network):
        return []
    own = [address for ranges in ranges_by_mac(port).values() for address in ranges]
    return [f"ip6 saddr != {as_set(rules.collapse(['::', *own], version=6))} drop",
            *(f"icmpv6 type nd-neighbor-advert {_target(cidr)}return" for cidr in own),
            "icmpv6 type nd-neighbor-advert drop"]


def services(network: NetworkSpec) -> list[str]:
    """Return what may reach the namespace: neighbours, router solicitations, DHCPv6, metadata, ping."""
    own = ipv6.service_addresses(network)
    if not own:
        return []
    return [f"icmpv6 type {{ nd-router-solicit, {_NEIGHBOURS}, {_LISTENERS} }} accept",
            f"ether type ip6 {_FROM_CLIENT} accept", f"ip6 daddr {as_set(own)} tcp dport 80 accept",
            f"ip6 daddr {as_set(own)} icmpv6 type echo-request accept"]


def from_uplink(network: NetworkSpec) -> list[str]:
    """Return the matches of what must not come in: our own addresses, DHCPv6, and a second router's advertisements."""
    if not ipv6.subnets(network):
        return []
    advertised = ipv6.router_ports(network) or all(subnet.ipv6_ra_mode for subnet in ipv6.subnets(network))
    return [*to_uplink(network), *(["icmpv6 type nd-router-advert"] if advertised else [])]


def to_uplink(network: NetworkSpec) -> list[str]:
    """Return the matches of what must not go out (nor come in): what this host says and answers itself."""
    own = [*ipv6.service_addresses(network),
           *(address for port in ipv6.router_ports(network) for address in ipv6.router_addresses(port))]
    if not own:
        return []
    return [f"ip6 saddr {as_set(own)}", f"ip6 daddr {as_set(own)}",
            *(f"icmpv6 type {{ {_NEIGHBOURS} }} {_target(f'{address}/128')}".strip() for address in own),
            "ether type ip6 udp dport { 546, 547 }"]


def to_wire(uplink: str, port: RouterPortSpec, host: str) -> list[str]:
    """Return the rules that make a router's question for a guest on another host one that is answered to this host.

    Every host's router has the same addresses, so that the answer would reach the router there. The question is
    therefore asked from an address and a MAC of this host's. nft makes the checksum right for the address, but not for
    the MAC within the message: what that adds to the sum is taken off in the reserved field, which receivers ignore
    (RFC 4861, 4.3).
    """
    wire = names.wire_mac(port.id, host)
    asked = f'oifname "{uplink}" ether saddr {port.mac_address} icmpv6 type nd-neighbor-solicit '
    balance = (_sum(port.mac_address) - _sum(wire)) % 0xFFFF
    return [f"{asked}@th,192,16 0x101 @th,48,16 set {balance:#x} @th,208,48 set 0x{wire.replace(':', '')}",
            f"{asked}ip6 saddr set {names.wire_address(port.id, host)}"]


def from_wire(port: RouterPortSpec, host: str) -> list[str]:
    """Return the rules for the answers to what `to_wire` lets out."""
    return [f"ip6 daddr {names.wire_address(port.id, host)} "
            f"ip6 daddr set {autoconf.link_local(port.mac_address)}"]


def _sum(mac: str) -> int:
    octets = bytes.fromhex(mac.replace(":", ""))
    return sum(int.from_bytes(octets[at:at + 2]) for at in range(0, 6, 2))


def _target(cidr: str) -> str:
    """Return the match of a neighbour message's target within `cidr`, with a space behind it."""
    block = ipaddress.IPv6Network(cidr)
    if not block.prefixlen:
        return ""
    bits = int(block.network_address) >> (128 - block.prefixlen)
    return f"@th,64,{block.prefixlen} {bits:#x} "
