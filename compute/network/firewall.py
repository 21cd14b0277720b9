"""One network's packet filter as an nftables script (pure functions; `compute.network.nft` loads it).

A network has two tables of its own, replaced whole in one transaction with every change; connections live in the
kernel's conntrack and outlast that. How a frame is judged:

1. family bridge, prerouting: what comes from a port must carry the port's MAC, addresses and ARP (`spoof_*`);
   what comes from the uplink must not be DHCP or claim our service addresses.
2. family inet, prerouting (br_netfilter hands it the bridged frames): conntrack, in the network's zone, and two bits
   of the packet mark that tell the bridge family what conntrack thinks, since bridge hooks often have no conntrack
   of their own. Packets that the host itself sends or routes into the bridge get the bits in inet postrouting.
   Members of a security group are a set of the table, which the rules name: when only they change, so does only
   the set (`render_groups`).
3. family bridge, forward, input (guest to host) and output (host to guest): sender's `egress_*`, receiver's
   `ingress_*`; answers within a connection (and ICMP errors about it) pass, what a connection's opener sends is
   checked against the rules packet by packet, the rest is dropped. So a rule that goes ends the connections it
   allowed, at once, and no others. DHCP and metadata always pass. Of a port with stateless groups every packet is
   checked against its rules. The kernel keeps its connections all the same: the port at the other end may need them.
4. family inet, input and forward (what the host itself receives and routes): a guest may ping its gateway and answer
   the host's connections. Every other service of the host is closed to it, also at addresses that are not the
   network's. What is routed must not be link-local, or a guest would read the host's own cloud metadata; a network
   without `host_gateway` is not routed at all.

A `host_gateway` network stays in the host's own zone, so that masquerading finds its way back; others get their own,
so that equal addresses in two networks do not meet. Another firewall of the host that drops in inet forward (such as
a `policy drop` for containers) still drops bridged packets, too: a table cannot overrule another.

IPv6 has chains of its own (`compute.network.firewall_ipv6`), for ports that have an IPv6 address; others carry none. So
have bandwidth limits (`compute.network.limits`). What an elected router serves goes to its host
(`compute.network.firewall_services`).
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from compute.metadata import METADATA_IP
from compute.network import firewall_ipv6, firewall_services, ipv6, limits, names, rules
from compute.network.links import Layout, ipv4_subnets
from compute.network.rules import as_set
from hostler import errors
from hostler.resources.server.specs import NetworkSpec, PortSpec, RouterPortSpec

# So many addresses next to each other may be one port's; more are a range of an allowed pair.
_OF_ONE_PORT = 4
# Two bits of the packet mark. Only they are touched, and only on packets of our bridges.
_MASK = 0x30000000
_ANSWER = 0x10000000
_INVALID = 0x20000000
_KEEP = 0xFFFFFFFF ^ _MASK
_BY_CONNECTION = (f"meta mark and {_MASK:#x} == {_ANSWER:#x} return",
                  f"meta mark and {_MASK:#x} == {_INVALID:#x} drop")

_LINK_LOCAL = "169.254.0.0/16"
# br_netfilter, at 0, skips what is at 0 and older than the host's first bridge.
_BEHIND_IP = 1
_IS_UNICAST = "ether daddr and 01:00:00:00:00:00 == 00:00:00:00:00:00"


@dataclasses.dataclass(frozen=True)
class Claims:
    """Who a port may be: IPv4 ranges by MAC, and IPv6 ranges by MAC where it speaks IPv6."""

    by_mac: dict[str, list[str]]
    ipv6_by_mac: dict[str, list[str]]

    @property
    def macs(self) -> str:
        """All MACs, as an nft set."""
        return as_set(sorted(self.by_mac))


def claims(port: PortSpec) -> Claims:
    """Return the port's own MAC and addresses and its allowed pairs (a pair without MAC means the port's).

    Raises `Invalid` when a MAC is none.
    """
    own = port.mac_address.lower()
    ranges: dict[str, list[str]] = {own: [fixed.ip_address for fixed in port.fixed_ips]}
    for pair in port.allowed_pairs:
        ranges.setdefault((pair.get("mac_address") or own).lower(), []).append(pair["ip_address"])
    for mac in ranges:
        if not rules.MAC.fullmatch(mac):
            raise errors.Invalid(reason=f"{mac} is not a MAC address")
    return Claims({mac: rules.collapse(cidrs) for mac, cidrs in ranges.items()}, firewall_ipv6.ranges_by_mac(port))


def groups_named(ports: Iterable[PortSpec]) -> list[str]:
    """Return the ids of the security groups whose members the ports' rules mean."""
    return sorted({rule.remote_group_id for port in ports for rule in port.rules if rule.remote_group_id is not None})


def member_sets(groups: Mapping[str, Sequence[str]], network: NetworkSpec) -> dict[str, tuple[str, ...]]:
    """Return the elements of the groups' sets on a network, by the sets' names: one for each group and IP version.

    `groups` has the members of each group as `rules.members` gives them.
    """
    return {names.group_set(group_id, version): tuple(
        member for member in [*members, *_behind_routers(members, network)]
        if (":" in member.rpartition(" ")[2]) == (version == 6))
        for group_id, members in groups.items() for version in (4, 6)}


def _behind_routers(members: Sequence[str], network: NetworkSpec) -> list[str]:
    """Return members of other subnets as they are seen here: by their address and the MAC of a router.

    Only their own addresses: an allowed pair that is a range would make everybody behind the router a member.
    """
    macs = [port.mac_address for port in _router_ports(network)]
    if not macs:
        return []
    own = [ipaddress.ip_network(subnet.cidr) for subnet in network.subnets]
    told = {ipaddress.ip_network(cidr) for _, _, cidr in (member.rpartition(" ") for member in members)}
    beyond = [str(cidr) for cidr in told if cidr.num_addresses <= _OF_ONE_PORT
              and not any(cidr.network_address in subnet for subnet in own)]
    return [f"{mac} . {cidr}" for mac in macs for version in (4, 6) for cidr in rules.collapse(beyond, version)]


def render(layout: Layout, zone: int, ports: Sequence[PortSpec], groups: Mapping[str, Sequence[str]]) -> str:
    """Return the script that makes the network's tables exactly so, whatever was there.

    `groups` has the members of all `groups_named`, as `rules.members` gives them.
    """
    table = names.table_name(layout.network.id)
    chains = [chain for port in ports for chain in _port_chains(port, layout.drop_log_rate)]
    return "\n".join([
        *_drop_tables(table),
        f"table bridge {table} {{",
        *(line for name, members in sorted(member_sets(groups, layout.network).items())
          for line in _group_set(name, members)),
        *chains,
        *_chain("services", "", _services(layout)),
        *_chain("prerouting", "filter hook prerouting priority -300", _prerouting(layout, ports)),
        *_chain("forward", f"filter hook forward priority {_BEHIND_IP}", _forward(layout, ports)),
        *_chain("input", "filter hook input priority 0",
                [*_dispatch("iifname", "egress", _filtered(ports)), f"meta mark set meta mark and {_KEEP:#x}"]),
        *_chain("output", "filter hook output priority 0", _output(layout, ports)),
        *limits.chains(ports),
        "}",
        f"table inet {table} {{",
        *_inet_chains(layout, zone),
        "}", ""])


def render_groups(network_id: str, sets: Mapping[str, Sequence[str]]) -> str:
    """Return the script that gives sets of the network's table, which must be there, other members."""
    table, lines = names.table_name(network_id), []
    for name, members in sorted(sets.items()):
        where = f"bridge {table} {name}"
        lines.append(f"flush set {where}")
        if members:
            lines.append(f"add element {where} {as_set(members)}")
    return "\n".join([*lines, ""])


def render_removal(network_id: str) -> str:
    """Return the script that removes the network's tables; fine when they are gone."""
    return "\n".join([*_drop_tables(names.table_name(network_id)), ""])


def _drop_tables(table: str) -> list[str]:
    # Adding first makes the deletion right when there is no such table.
    return [line for family in ("bridge", "inet")
            for line in (f"add table {family} {table}", f"delete table {family} {table}")]


def _group_set(name: str, members: Sequence[str]) -> list[str]:
    elements = [f"  elements = {as_set(members)}"] if members else []
    address = "ipv6_addr" if name.startswith(names.IPV6_SET_PREFIX) else "ipv4_addr"
    return [f" set {name} {{", f"  type ether_addr . {address}; flags interval;", *elements, " }"]


def _chain(name: str, hook: str, lines: Iterable[str]) -> list[str]:
    head = [f"  type {hook}; policy accept;"] if hook else []
    return [f" chain {name} {{", *head, *(f"  {line}" for line in lines), " }"]


def _devices(device_names: Iterable[str]) -> str:
    return as_set(f'"{name}"' for name in device_names)


def _filtered(ports: Sequence[PortSpec]) -> list[PortSpec]:
    return [port for port in ports if port.port_security or not port.admin_state_up]


def _open(ports: Sequence[PortSpec]) -> list[PortSpec]:
    return [port for port in ports if port.admin_state_up and not port.port_security]


def _dispatch(field: str, chain: str, ports: Sequence[PortSpec]) -> list[str]:
    """Return the rule that sends each port's packets to its chain (one look-up however many ports there are)."""
    if not ports:
        return []
    jumps = (f'"{names.tap_name(port.id)}" : jump {chain}_{names.short_id(port.id)}' for port in ports)
    return [f"{field} vmap {as_set(jumps)}"]


def _local_ips(layout: Layout) -> list[str]:
    """Return the addresses that every host answers at by itself, which must therefore never cross an uplink."""
    subnets = ipv4_subnets(layout.network)
    return [METADATA_IP, *(subnet.dhcp_ip for subnet in subnets if subnet.dhcp_ip), *_gateways(layout),
            *(address for port in _router_ports(layout.network) for address in _addresses(port))]


def _port_chains(port: PortSpec, drop_log_rate: int) -> list[str]:
    short = names.short_id(port.id)

    def chain(kind: str, body: list[str]) -> list[str]:
        return _chain(f"{kind}_{short}", "", _logged(body, drop_log_rate, f"{kind} of port {port.id}"))

    if not port.admin_state_up:
        return [line for kind in ("spoof", "egress", "ingress") for line in _chain(f"{kind}_{short}", "", ["drop"])]
    if not port.port_security:
        return _chain(f"guard_{short}", "", _guard(port))
    allowed = claims(port)
    lines: list[str] = []
    rest: dict[str, list[str]] = {"spoof": [], "egress": [], "ingress": []}
    if allowed.ipv6_by_mac:
        rest = {kind: [f"ether type ip6 goto {kind}6_{short}"] for kind in rest}
        lines += chain("spoof6", firewall_ipv6.spoof(allowed.ipv6_by_mac))
        for direction in ("egress", "ingress"):
            lines += chain(f"{direction}6", firewall_ipv6.judge(direction, port.rules, _known(port)))
    mine = f"{_IS_UNICAST} ether daddr != {allowed.macs} drop"
    return [*lines, *chain("spoof", _spoof(allowed, rest["spoof"])),
            *chain("egress", _judge([], "egress", port, rest["egress"])),
            *chain("ingress", _judge([mine], "ingress", port, rest["ingress"]))]


def _logged(lines: list[str], rate: int, what: str) -> list[str]:
    """Return a chain's lines with some of what the last one drops named in the kernel's log, `rate` packets a second
    (0: none)."""
    if not rate:
        return lines
    return [*lines[:-1], f'limit rate {rate}/second burst {rate} packets log prefix "hostler drop: {what} "', lines[-1]]


def _spoof(allowed: Claims, other: Sequence[str]) -> list[str]:
    lines = [f"ether saddr != {allowed.macs} drop", "ether type 8021q drop"]
    for mac, cidrs in sorted(allowed.by_mac.items()):
        # 0.0.0.0 is the sender of a probe for duplicate addresses (RFC 5227).
        probe = cidrs if "0.0.0.0/0" in cidrs else ["0.0.0.0", *cidrs]
        lines.append(f"ether saddr {mac} arp saddr ether {mac} arp saddr ip {as_set(probe)} return")
    # Reverse ARP is what the hypervisor announces a moved guest with.
    lines += ["ether type 0x8035 return", *other, "ether type != ip drop", "udp sport 67 drop",
              "ip saddr 0.0.0.0 udp sport 68 udp dport 67 return"]
    lines += [f"ether saddr {mac} ip saddr {as_set(cidrs)} return"
              for mac, cidrs in sorted(allowed.by_mac.items()) if cidrs]
    return [*lines, "drop"]


def _guard(port: PortSpec) -> list[str]:
    """Rules between a port without port security and our services: it must not ask for another server's secrets."""
    own = as_set(["0.0.0.0", *(rules.collapse(fixed.ip_address for fixed in port.fixed_ips))])
    return [f"ip saddr != {own} drop", f"arp saddr ip != {own} drop", *firewall_ipv6.guard(port)]


def _known(port: PortSpec) -> tuple[str, ...]:
    return () if port.stateless else _BY_CONNECTION


def _judge(first: list[str], direction: str, port: PortSpec, other: Sequence[str]) -> list[str]:
    lines = [*first, "ether type { arp, 0x8035 } return", *other, "ether type != ip drop", *_known(port)]
    for rule in port.rules:
        if rule.direction == direction and rule.ethertype == "IPv4":
            lines.extend(f"{match} return".strip() for match in rules.matches(rule))
    return [*dict.fromkeys(lines), "drop"]


def _services(layout: Layout) -> list[str]:
    """What may reach the namespace: ARP, DHCP, metadata, ping, and what IPv6 has for them."""
    own = as_set(ip for ip in dict.fromkeys([METADATA_IP, *(subnet.dhcp_ip for subnet in ipv4_subnets(layout.network)
                                                         if subnet.dhcp_ip)]))
    return ["ether type arp accept", "ether type ip udp sport 68 udp dport 67 accept",
            f"ip daddr {own} tcp dport 80 accept", f"ip daddr {own} icmp type echo-request accept",
            *firewall_ipv6.services(layout.network), "drop"]


def _prerouting(layout: Layout, ports: Sequence[PortSpec]) -> list[str]:
    lines = _dispatch("iifname", "spoof", _filtered(ports))
    if layout.uplink is not None:
        local = as_set(_local_ips(layout))
        lines += firewall_services.from_uplink(layout)
        lines += [f'iifname "{layout.uplink}" {match} drop' for match in
                  (f"arp saddr ip {local}", f"arp daddr ip {local}", f"ip saddr {local}", f"ip daddr {local}",
                   "ether type ip udp dport { 67, 68 }", *firewall_ipv6.from_uplink(layout.network))]
        lines += [f'iifname "{layout.uplink}" ether daddr {names.wire_mac(port.id, layout.host)} '
                  f"ether daddr set {port.mac_address}" for port in _router_ports(layout.network)]
        lines += [f'iifname "{layout.uplink}" {line}' for port in ipv6.router_ports(layout.network)
                  for line in firewall_ipv6.from_wire(port, layout.host)]
    # Named one by one: other networks' frames come by as well, and may have the same MACs.
    devices = [*([layout.uplink] if layout.uplink is not None else []), *(names.tap_name(port.id) for port in ports)]
    return [*(f"iifname {_devices(devices)} ether saddr {port.mac_address} drop"
              for port in _router_ports(layout.network) if devices), *lines,
            *firewall_services.from_guests(layout, [names.tap_name(port.id) for port in ports])]


def _forward(layout: Layout, ports: Sequence[PortSpec]) -> list[str]:
    lines = []
    if layout.uplink is not None:
        local = as_set(_local_ips(layout))
        lines += [line for port in ipv6.router_ports(layout.network)
                  for line in firewall_ipv6.to_wire(layout.uplink, port, layout.host)]
        lines += [line for port in _router_ports(layout.network) for line in _to_wire(layout, port)]
        # To the guests here it comes from their gateway, which is how their rules know who is behind it.
        lines += [f'iifname "{layout.uplink}" ether saddr & ff:ff:00:00:00:00 == {names.WIRE_MAC_PREFIX}:00:00:00:00 '
                  f"ether saddr set {port.mac_address}" for port in _router_ports(layout.network)[:1]]
    lines += firewall_services.forwarded(layout, _dispatch("iifname", "egress", _filtered(ports)))
    if layout.uplink is not None:
        lines += [f'iifname "{layout.veth}" oifname "{layout.uplink}" drop',
                  f'iifname "{layout.uplink}" oifname "{layout.veth}" drop',
                  f'oifname "{layout.uplink}" arp daddr ip {local} drop',
                  f'oifname "{layout.uplink}" ip daddr {local} drop',
                  f'oifname "{layout.uplink}" ether type ip udp dport {{ 67, 68 }} drop',
                  *(f'oifname "{layout.uplink}" {match} drop' for match in firewall_ipv6.to_uplink(layout.network))]
    lines += [f'oifname "{layout.veth}" {jump}' for jump in _dispatch("iifname", "guard", _open(ports))]
    down = [names.tap_name(port.id) for port in ports if not port.admin_state_up]
    if down:
        lines.append(f"oifname {_devices(down)} drop")
    return [*lines, f'oifname "{layout.veth}" jump services', f'iifname "{layout.veth}" accept',
            *_dispatch("iifname", "egress", _filtered(ports)), *_dispatch("oifname", "ingress", _filtered(ports))]


def _output(layout: Layout, ports: Sequence[PortSpec]) -> list[str]:
    lines = _dispatch("oifname", "ingress", _filtered(ports))
    if layout.uplink is not None and layout.network.host_gateway:
        lines.append(f'oifname "{layout.uplink}" drop')
    return lines


def _inet_chains(layout: Layout, zone: int) -> list[str]:
    lines = []
    if not layout.network.host_gateway:
        lines += _chain("zone", "filter hook prerouting priority -300",
                        [f'iifname "{layout.bridge}" ct zone set {zone}'])
    # After conntrack (-200), before any address is translated (-100 and 100).
    lines += _chain("bridged", "filter hook prerouting priority -150", _note_state("iifname", layout.bridge))
    lines += _chain("from_host", "filter hook postrouting priority -150", _note_state("oifname", layout.bridge))
    lines += _chain("to_host", "filter hook input priority 0", _to_host(layout))
    lines += _chain("routed", "filter hook forward priority 0", _routed(layout))
    if layout.network.host_gateway:
        cidrs = [subnet.cidr for subnet in ipv4_subnets(layout.network)]
        lines += _chain("source_nat", "nat hook postrouting priority 100",
                        [f'oifname != "{names.BRIDGE_PREFIX}*" ip saddr {cidr} ip daddr != {cidr} masquerade'
                         for cidr in cidrs])
    return lines


def _router_ports(network: NetworkSpec) -> list[RouterPortSpec]:
    """Return the interfaces that routers have on the network."""
    return [port for router in network.routers for port in router.interfaces if port.network.id == network.id]


def _addresses(port: RouterPortSpec) -> list[str]:
    return [address.partition("/")[0] for address in port.addresses if ":" not in address]


def _to_wire(layout: Layout, port: RouterPortSpec) -> list[str]:
    """What happens to a router's frames on their way to guests on other hosts.

    Every host's router has the same MAC and addresses. Where those crossed the wire, the switches would not know where
    they are, and guests' answers would reach another host's router. So a host's frames carry a MAC of its own, and its
    ARP requests ask for nobody (a probe, RFC 5227, which is answered as well).
    """
    mine, wire = f'oifname "{layout.uplink}" ether saddr {port.mac_address}', names.wire_mac(port.id, layout.host)
    arp = [f"{mine} arp saddr ip {as_set(_addresses(port))} arp saddr ip set 0.0.0.0"] if _addresses(port) else []
    return [*arp, f"{mine} arp saddr ether set {wire}", f"{mine} ether saddr set {wire}"]


def _gateways(layout: Layout) -> list[str]:
    """Return the addresses at which the host is the network's gateway."""
    if not layout.network.host_gateway:
        return []
    return [subnet.gateway_ip for subnet in ipv4_subnets(layout.network) if subnet.gateway_ip]


def _to_host(layout: Layout) -> list[str]:
    """What guests may send to the host itself. DHCP and metadata are in the namespace and do not come this way."""
    gateways = _gateways(layout)
    ping = [f"ip daddr {as_set(gateways)} icmp type echo-request accept"] if gateways else []
    return [f'iifname != "{layout.bridge}" accept', "ct state established ct direction reply accept",
            "ct state related accept", *ping, "drop"]


def _routed(layout: Layout) -> list[str]:
    """What the host may route from and to guests; bridged packets come by, too, with the bridge as both interfaces."""
    between = [f'iifname "{layout.bridge}" oifname != "{layout.bridge}"',
               f'iifname != "{layout.bridge}" oifname "{layout.bridge}"']
    refused = ([f"ip {side} {_LINK_LOCAL}" for side in ("saddr", "daddr")] + ["meta nfproto ipv6"]
               if layout.network.host_gateway else [""])
    return [f"{way} {match} drop".replace("  ", " ") for way in between for match in refused]


def _note_state(field: str, bridge: str) -> list[str]:
    answer = f"meta mark set meta mark or {_ANSWER:#x}"
    return [f'{field} "{bridge}" meta mark set meta mark and {_KEEP:#x}',
            f'{field} "{bridge}" ct state established ct direction reply {answer}',
            f'{field} "{bridge}" ct state related {answer}',
            f'{field} "{bridge}" ct state invalid meta mark set meta mark or {_INVALID:#x}']
