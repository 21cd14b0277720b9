"""The ports as agents see them: network, addresses and rules of each NIC, in a fixed number of statements.

A rule that names a remote group says which; the addresses of the members (`group_members`) travel beside the ports,
once for each group; so do the places of a network's other ports (`hostler.resources.network.peers`).

To send every member with every message is simple, and right for small groups. In a group of 10,000 each boot would read
and send all of them, twice. So of a group with more than `SMALL` ports a message has those that changed in its last
`RECENT` revisions, and a host that has missed more asks for what it lacks (`missed_members`): a boot costs the same
however large its groups are. See `compute.groups` for the other end.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.compiled import execute_built
from hostler.db.models import (
    AddressGroup,
    FixedIp,
    Host,
    Network,
    Port,
    PortSecurityGroup,
    SecurityGroup,
    SecurityGroupChange,
    SecurityGroupRule,
    Server,
    Subnet,
)
from hostler.resources.network import kinds, peers, qos, services
from hostler.resources.network.router_specs import floating_ips, router_links, router_specs, serving
from hostler.resources.server.specs import FixedIpSpec, NetworkSpec, PortSpec, RuleSpec, SubnetSpec

# {group id, or a network's `kinds.key`: {"revision", and one of: "members": ["MAC CIDR"], all of them; "ports":
# {port id: ["MAC CIDR"], empty when it left} with "since": to those that have this revision at least, or None: that are
# all of them}}
Groups = dict[str, dict[str, Any]]

# Groups with more ports than this are sent by their changes.
SMALL = 64
# A message about a large group has the changes of so many revisions, unless they are of too many ports.
RECENT = 64
_AT_ONCE = 256
# So many revisions back a host is still sent changes; `prune_changes` keeps twice as many.
KEPT = 500

# Built once: every boot, delete and reconciliation runs them, and building one costs as much as running it.
_IDS: Any = sa.bindparam("ids", expanding=True)
_OF_NETWORK = (Network.name, Network.mtu, Network.network_type, Network.physical_network, Network.segmentation_id,
               Network.host_gateway, Network.dns_domain, Network.dhcp_provider, Network.dns_provider,
               Network.userdata_provider)
# A row for each address of a port, or one without.
_PORTS = (sa.select(Port.id, Port.server_id, Port.network_id, Port.mac_address, Port.dns_name, Port.admin_state_up,
                    Port.device_tag, Port.extra_dhcp_opts, Port.port_security_enabled, Port.allowed_address_pairs,
                    Port.spec_revision, Server.hostname, qos.EFFECTIVE.label("qos_policy_id"), *_OF_NETWORK,
                    serving(Port.network_id).exists().label("is_routed"), FixedIp.subnet_id, FixedIp.ip_address)
          .join(Server, Server.id == Port.server_id).join(Network, Network.id == Port.network_id)
          .outerjoin(FixedIp, FixedIp.port_id == Port.id).outerjoin(Subnet, Subnet.id == FixedIp.subnet_id)
          .order_by(Port.server_id, Port.nic_index, Port.created_at, Port.id, Subnet.ip_version, Subnet.created_at,
                    FixedIp.ip_address))
_PORTS_OF_SERVERS = _PORTS.where(Port.server_id.in_(_IDS))
_PORTS_OF_IDS = _PORTS.where(Port.id.in_(_IDS))
_SUBNETS = (sa.select(Subnet.id, Subnet.network_id, Subnet.cidr, Subnet.ip_version, Subnet.gateway_ip,
                      Subnet.enable_dhcp, Subnet.dhcp_ip, Subnet.dns_nameservers, Subnet.host_routes,
                      Subnet.ipv6_ra_mode, Subnet.ipv6_address_mode)
            .where(Subnet.network_id.in_(_IDS)).order_by(Subnet.created_at, Subnet.id))
_NETWORKS = sa.select(Network.id.label("network_id"), *_OF_NETWORK).where(Network.id.in_(_IDS))
_RULES = (sa.select(PortSecurityGroup.port_id, SecurityGroupRule.id, SecurityGroupRule.direction,
                    SecurityGroupRule.ethertype, SecurityGroupRule.protocol, SecurityGroupRule.port_min,
                    SecurityGroupRule.port_max, SecurityGroupRule.remote_ip_prefix, SecurityGroupRule.remote_group_id,
                    SecurityGroupRule.remote_address_group_id, SecurityGroup.stateful)
          .join(SecurityGroupRule, SecurityGroupRule.group_id == PortSecurityGroup.group_id)
          .join(SecurityGroup, SecurityGroup.id == SecurityGroupRule.group_id)
          .where(PortSecurityGroup.port_id.in_(_IDS))
          .order_by(PortSecurityGroup.port_id, SecurityGroupRule.id))
_PLACED = (sa.select(Host.name.label("host"), Port.id, Port.mac_address, Port.network_id, Network.name)
           .select_from(Server).outerjoin(Host, Host.id == Server.host_id).outerjoin(Port, Port.server_id == Server.id)
           .outerjoin(Network, Network.id == Port.network_id).where(Server.id == sa.bindparam("server"))
           .order_by(Port.nic_index, Port.id))
_BLOCKS = sa.select(AddressGroup.id, AddressGroup.addresses).where(AddressGroup.id.in_(_IDS))
_REVISIONS = sa.select(
    SecurityGroup.id, SecurityGroup.members_revision,
    sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == SecurityGroup.id).limit(1)
    .offset(sa.bindparam("small", type_=sa.Integer)).scalar_subquery().label("beyond"),
).where(SecurityGroup.id.in_(_IDS))
_MEMBERS = (sa.select(PortSecurityGroup.group_id, PortSecurityGroup.port_id, Port.mac_address, FixedIp.ip_address,
                      sa.case((sa.cast(Port.allowed_address_pairs, sa.Text) != "[]", Port.allowed_address_pairs)))
            .join(Port, Port.id == PortSecurityGroup.port_id)
            .outerjoin(FixedIp, FixedIp.port_id == Port.id)
            .where(PortSecurityGroup.group_id.in_(_IDS)))
_MEMBERS_AT = _MEMBERS.where(PortSecurityGroup.port_id.in_(sa.bindparam("ports", expanding=True)))
_CHANGED = sa.select(SecurityGroupChange.port_id).distinct().where(
    SecurityGroupChange.group_id == sa.bindparam("group"), SecurityGroupChange.revision > sa.bindparam("since"))


def port_specs(session: orm.Session, *, server_ids: Collection[str] | None = None,
               port_ids: Collection[str] | None = None) -> dict[str, tuple[PortSpec, ...]]:
    """Return the ports of `server_ids`, or those of `port_ids` that are a server's, by server id and in NIC order.

    A server without ports has an empty tuple when it was asked for by id.
    """
    if server_ids is not None:
        rows = execute_built(session, _PORTS_OF_SERVERS, {"ids": list(server_ids)}).all()
    else:
        rows = execute_built(session, _PORTS_OF_IDS, {"ids": list(port_ids or ())}).all()
    ports = list({row.id: row for row in rows}.values())
    addresses = _addresses(rows)
    networks = routed_networks(session, {}, {port.network_id: port for port in ports})
    routed = [port.id for port in ports if networks[port.network_id].routers]
    floating = floating_ips(session, routed) if routed else {}
    rules = _rules(session, [port.id for port in ports if port.port_security_enabled])
    limits = qos.limits_of(session, {port.qos_policy_id for port in ports if port.qos_policy_id is not None})
    specs: dict[str, list[PortSpec]] = {server_id: [] for server_id in server_ids or ()}
    for port in ports:
        specs.setdefault(str(port.server_id), []).append(PortSpec(
            id=port.id, mac_address=port.mac_address, network=networks[port.network_id],
            server_id=str(port.server_id), fixed_ips=tuple(addresses[port.id]), hostname=port.dns_name or port.hostname,
            admin_state_up=port.admin_state_up, port_security=port.port_security_enabled,
            allowed_pairs=tuple(_pair(pair) for pair in port.allowed_address_pairs), rules=tuple(rules[port.id]),
            floating_ips=floating.get(port.id, ()), limits=limits.get(port.qos_policy_id, ()),
            dhcp_options=tuple(port.extra_dhcp_opts), revision=port.spec_revision, tag=port.device_tag))
    return {server_id: tuple(found) for server_id, found in specs.items()}


def ports_to_unplug(session: orm.Session, server_id: str) -> tuple[str | None, tuple[PortSpec, ...]]:
    """Return the name of a server's host, and its ports as far as a host needs them to remove them: which they are, and
    on which networks."""
    rows = execute_built(session, _PLACED, {"server": server_id}).all()
    return rows[0].host if rows else None, tuple(
        PortSpec(id=row.id, mac_address=row.mac_address, server_id=server_id,
                 network=NetworkSpec(id=row.network_id, name=row.name)) for row in rows if row.id is not None)


def routed_networks(session: orm.Session, network_ids: Collection[str],
                    known: Mapping[str, Any] = MappingProxyType({})) -> dict[str, NetworkSpec]:
    """Return networks with their subnets and routers, by id; `known` are rows, by id, of networks that are wanted, too.
    """
    wanted = {*network_ids, *known}
    links = router_links(session, {
        network_id for network_id in wanted if network_id not in known or known[network_id].is_routed})
    specs = network_specs(session, {*wanted, *(link.network_id for link in links)}, known)
    routers = router_specs(session, links, specs)
    return {network_id: dataclasses.replace(specs[network_id], routers=tuple(
        router for router in routers if any(port.network.id == network_id for port in router.interfaces)))
        for network_id in wanted if network_id in specs}


def network_specs(session: orm.Session, network_ids: Collection[str],
                  known: Mapping[str, Any] = MappingProxyType({})) -> dict[str, NetworkSpec]:
    """Return networks with all their subnets, by id (two statements, or one where all rows are `known`)."""
    if not network_ids:
        return {}
    subnets: defaultdict[str, list[SubnetSpec]] = defaultdict(list)
    for subnet in execute_built(session, _SUBNETS, {"ids": list(network_ids)}):
        subnets[subnet.network_id].append(SubnetSpec(
            id=subnet.id, cidr=subnet.cidr, ip_version=subnet.ip_version, gateway_ip=subnet.gateway_ip,
            enable_dhcp=subnet.enable_dhcp, dhcp_ip=subnet.dhcp_ip, dns_nameservers=tuple(subnet.dns_nameservers),
            host_routes=tuple(subnet.host_routes), ipv6_ra_mode=subnet.ipv6_ra_mode,
            ipv6_address_mode=subnet.ipv6_address_mode))
    unknown = [network_id for network_id in network_ids if network_id not in known]
    read = execute_built(session, _NETWORKS, {"ids": unknown}).all() if unknown else ()
    return {network.network_id: NetworkSpec(
        id=network.network_id, name=network.name, mtu=network.mtu, network_type=network.network_type,
        physical_network=network.physical_network, segmentation_id=network.segmentation_id,
        host_gateway=network.host_gateway, dns_domain=network.dns_domain, providers=_providers(network),
        subnets=tuple(subnets[network.network_id]))
        for network in (*known.values(), *read)}


def _providers(network: Any) -> dict[str, str]:
    chosen = (network.dhcp_provider, network.dns_provider, network.userdata_provider)
    return {service: provider or services.NOBODY for service, provider in zip(services.CHOSEN, chosen, strict=True)
            if provider != services.FLAT}


def _addresses(rows: Iterable[Any]) -> defaultdict[str, list[FixedIpSpec]]:
    found: defaultdict[str, list[FixedIpSpec]] = defaultdict(list)
    for row in rows:
        if row.ip_address is not None:
            found[row.id].append(FixedIpSpec(ip_address=row.ip_address, subnet_id=row.subnet_id))
    return found


def _rules(session: orm.Session, port_ids: Collection[str]) -> defaultdict[str, list[RuleSpec]]:
    found: defaultdict[str, list[RuleSpec]] = defaultdict(list)
    specs: dict[str, RuleSpec] = {}
    rules = execute_built(session, _RULES, {"ids": list(port_ids)}).all()
    named = {rule.remote_address_group_id for rule in rules if rule.remote_address_group_id is not None}
    blocks = dict(session.execute(_BLOCKS, {"ids": list(named)}).tuples().all()) if named else {}
    for rule in rules:
        if rule.id not in specs:
            specs[rule.id] = _rule_spec(rule, blocks.get(rule.remote_address_group_id, ()))
        found[rule.port_id].append(specs[rule.id])
    return found


def _rule_spec(rule: Any, blocks: Collection[str]) -> RuleSpec:
    """Return a rule; `blocks` are those of the address group that it names. To a host they are the rule's own."""
    return RuleSpec(direction=rule.direction, ethertype=rule.ethertype, protocol=rule.protocol,
                    port_min=rule.port_min, port_max=rule.port_max,
                    remote_cidrs=(_cidr(rule.remote_ip_prefix),) if rule.remote_ip_prefix else tuple(blocks),
                    remote_is_group=rule.remote_group_id is not None or rule.remote_address_group_id is not None,
                    remote_group_id=rule.remote_group_id, stateful=rule.stateful)


def members_for(session: orm.Session, ports: Iterable[PortSpec],
                known: Mapping[str, int] = MappingProxyType({})) -> Groups:
    """Return the members of all groups that the ports' rules name (see `group_members`), and of the networks, of those
    that they are on or that routers lead to, whose hosts are told where ports are."""
    plugged = list(ports)
    networks = {network.id: network for port in plugged for network in port.network.reached()}
    return group_members(session, {
        *(rule.remote_group_id for port in plugged for rule in port.rules if rule.remote_group_id is not None),
        *(kinds.key(network.id) for network in networks.values() if network.network_type == kinds.VXLAN
          or network.providers.get(services.DHCP) == services.VIRTUAL_ROUTER)}, known)


def group_members(session: orm.Session, group_ids: Collection[str],
                  known: Mapping[str, int] = MappingProxyType({})) -> Groups:
    """Return what a message has of groups: all members, sorted, as "MAC CIDR" of their addresses and pairs; of large
    groups the latest changes.

    Groups that still have the revision that `known` names are left out.
    """
    return _read_groups(session, group_ids, known, lambda _group_id, revision: revision - RECENT, _AT_ONCE)


def missed_members(session: orm.Session, known: Mapping[str, int | None]) -> Groups:
    """Return what a host needs to know of groups, which follows on from the revision it has, or from nothing (None)."""
    def since(group_id: str, revision: int) -> int | None:
        have = known[group_id]
        return have if have is not None and revision - have <= KEPT else None

    return _read_groups(session, known, {}, since, None)


def prune_changes(session: orm.Session) -> None:
    """Forget changes that no host is sent any more."""
    last = SecurityGroupChange.revision + 2 * KEPT
    kept = sa.or_(
        sa.exists().where(SecurityGroup.id == SecurityGroupChange.group_id, SecurityGroup.members_revision <= last),
        sa.exists().where(Network.id == SecurityGroupChange.group_id, Network.peers_revision <= last))
    session.execute(sa.delete(SecurityGroupChange).where(~kept).execution_options(synchronize_session=False))


def _read_groups(session: orm.Session, group_ids: Collection[str], known: Mapping[str, int],
                 since: Callable[[str, int], int | None], at_once: int | None) -> Groups:
    if not group_ids:
        return {}
    # Read before the members, which may then be newer than their revision, but never older.
    rows = _revisions(session, group_ids)
    revisions = {group_id: rows[group_id].members_revision if group_id in rows else 0 for group_id in group_ids}
    news = [group_id for group_id in group_ids if group_id not in known or revisions[group_id] != known[group_id]]
    small = [group_id for group_id in news if group_id not in rows or rows[group_id].beyond is None]
    found: Groups = {group_id: {"members": sorted({member for members in ports.values() for member in members})}
                     for group_id, ports in _members(session, small).items()}
    for group_id in set(news).difference(small):
        revision = revisions[group_id]
        found[group_id] = _changes(session, group_id, since(group_id, revision), revision, at_once)
    return {group_id: {"revision": revisions[group_id], **group} for group_id, group in found.items()}


def _revisions(session: orm.Session, names: Collection[str]) -> dict[str, Any]:
    """Return the revisions of groups and networks, and whether they are large, by what messages call them."""
    groups, networks = _split(names)
    rows = {row.id: row for row in execute_built(
        session, _REVISIONS, {"ids": groups, "small": SMALL})} if groups else {}
    if networks:
        rows |= {kinds.key(row.id): row for row in session.execute(peers.REVISIONS, {"ids": networks, "small": SMALL})}
    return rows


def _split(names: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the ids of groups, and those of networks."""
    networks = {name: kinds.network_of(name) for name in names}
    return ([name for name, network_id in networks.items() if network_id is None],
            [network_id for network_id in networks.values() if network_id is not None])


def _changes(session: orm.Session, group_id: str, since: int | None, revision: int,
             at_once: int | None) -> dict[str, Any]:
    if since is None:
        [ports] = _members(session, [group_id]).values()
        return {"since": None, "ports": {port_id: sorted(members) for port_id, members in ports.items()}}
    changed = session.scalars(_CHANGED, {"group": kinds.network_of(group_id) or group_id, "since": since}).all()
    if at_once is not None and len(changed) > at_once:
        return {"since": revision, "ports": {}}
    [ports] = _members(session, [group_id], changed).values()
    return {"since": since, "ports": {port_id: sorted(ports[port_id]) for port_id in changed}}


def _members(session: orm.Session, group_ids: Collection[str], port_ids: Collection[str] | None = None,
             ) -> dict[str, defaultdict[str, set[str]]]:
    """Return the members of groups and networks by port; of `port_ids` alone, when given."""
    groups, networks = _split(group_ids)
    found: dict[str, defaultdict[str, set[str]]] = {group_id: defaultdict(set) for group_id in groups}
    found |= peers.members(session, networks, port_ids)
    if not groups or port_ids is not None and not port_ids:
        return found
    asked: dict[str, Any] = {"ids": groups}
    if port_ids is not None:
        asked["ports"] = list(port_ids)
    rows = execute_built(session, _MEMBERS if port_ids is None else _MEMBERS_AT, asked)
    for group_id, port_id, mac, address, pairs in rows.tuples():
        members = found[group_id][port_id]
        if address is not None:
            members.add(_member(mac, address))
        members.update(_member(pair.get("mac_address") or mac, pair["ip_address"]) for pair in pairs or ())
    return found


def _member(mac: str, address: str) -> str:
    return f"{mac.lower()} {_cidr(address)}"


def _cidr(address: str) -> str:
    """Return an address or a block, which may have host bits set, as a canonical block."""
    return str(ipaddress.ip_network(address, strict=False))


def _pair(pair: dict[str, str]) -> dict[str, str]:
    address = pair["ip_address"]
    return {**pair, "ip_address": _cidr(address)} if "/" in address else pair
