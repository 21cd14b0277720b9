"""Ports: list, show, create, change, delete. The checks of a request are in `api.core.network.port_rules`.

A port that a server holds is released by the server (detach, delete), never from here.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.network import port_rules, router_interfaces
from api.core.network.qos_policies import policy_to_bind
from api.core.network.scope import Caller, claim_quota, find, owner_of_new, set_changed
from api.core.network.verbs import Verbs
from hostler import errors
from hostler.db.models import FixedIp, Host, Network, Port, PortSecurityGroup, Subnet
from hostler.query.fields import ADDRESS, ID, LOWER, Field
from hostler.query.resources import declare
from hostler.resources.network import peers, place_ports, routers, security_groups
from hostler.resources.network.host_updates import notify_of_network, notify_of_peers, notify_of_port

_HOST_NAME: Final = sa.func.coalesce(
    sa.select(Host.name).where(Host.id == Port.host_id).correlate(Port).scalar_subquery(),
    sa.case((Port.server_id.is_(None), Port.requested_host)))
PORT: Final = declare(Port, {
    "device_id": Field(Port.__table__.c.device_id, ID), "mac_address": Field(Port.__table__.c.mac_address, LOWER),
    "status": Field(Port.shown_status), "host_name": Field(_HOST_NAME, action="get_port:binding")})
FIXED_IP: Final = declare(FixedIp, {"ip_address": Field(FixedIp.__table__.c.ip_address, ADDRESS)})


@dataclasses.dataclass(frozen=True)
class PortRecord:
    """A port with its addresses [(subnet id, address)], groups, host name while it is on one, and its network's DNS
    domain and policy."""

    row: Port
    addresses: tuple[tuple[str, str], ...] = ()
    group_ids: tuple[str, ...] = ()
    host: str | None = None
    dns_domain: str = ""
    network_policy_id: str | None = None


def _add(session: orm.Session, caller: Caller, bodies: Sequence[Mapping[str, Any]]) -> tuple[list[Port], list[str]]:
    """Write ports; hosts whose rules admit their addresses follow."""
    owners = [owner_of_new(session, caller, values) for values in bodies]
    for project_id, amount in Counter(owners).items():
        claim_quota(caller, session, project_id, "ports", amount)
    drafts = [_draft(session, caller, owner, values) for owner, values in zip(owners, bodies, strict=True)]
    ports = place_ports.place(session, caller.services.conf, drafts)
    groups = {group_id for draft in drafts for group_id in draft.group_ids}
    return ports, security_groups.notify_hosts(session, caller.context, groups, rules_changed=False)


def _change(session: orm.Session, caller: Caller, port: Port, values: Mapping[str, Any]) -> list[str]:
    network = session.get_one(Network, port.network_id)
    port_rules.check_rights(session, caller, "update", port.project_id, network, values)
    new = port_rules.columns(network, values, port)
    port_rules.check_bound(session, port, new)
    router = router_interfaces.router_of(session, port) if "fixed_ips" in values else None
    if new.keys() & {"device_id", "device_owner"} or "fixed_ips" in values and router is None:
        port_rules.check_not_routed(session, port)
    joined = router_interfaces.port_subnets(session, port.id) if router is not None else []
    if "qos_policy_id" in new:
        new["qos_policy_id"] = policy_to_bind(session, caller, new["qos_policy_id"], port.qos_policy_id)
    before = security_groups.groups_of(session, [port.id])
    after = port_rules.groups_after(session, caller, port, before, values)
    moved = "fixed_ips" in values and _move(session, caller, port, network, values["fixed_ips"])
    changed = set_changed(port, new)
    if "mac_address" in changed:
        _flush(session, port)  # an address that is taken is refused here, before anything else is read
        moved = place_ports.form_again(session, port) or moved
    regrouped = _set_groups(session, port, before, after)
    if (moved or regrouped) and not changed:
        port.revision += 1
    _flush(session, port)
    operation_ids = (router_interfaces.follow_addresses(session, caller, router, port, joined)
                     if router is not None and moved else [])
    filtered = {"allowed_address_pairs", "port_security_enabled", "admin_state_up", "mac_address"}
    if changed & {"qos_policy_id", "extra_dhcp_opts"} and not (regrouped or moved or changed & filtered):
        operation_ids += notify_of_port(session, caller.context, port)
    if changed & {"dns_name", "extra_dhcp_opts"}:
        operation_ids += notify_of_peers(session, caller.context, peers.names_changed(session, port.id))
    if regrouped or moved or changed & filtered:
        operation_ids += notify_of_port(session, caller.context, port)
        network_ids = peers.ports_changed(session, [port.id]) if port.host_id is not None else ()
        operation_ids += notify_of_peers(session, caller.context, network_ids)
        operation_ids += security_groups.notify_hosts(session, caller.context, {*before, *after},
                                                      rules_changed=False, port_ids=[port.id])
    if port.host_id is not None and (moved or changed & {"dns_name", "admin_state_up", "mac_address"}):
        operation_ids += notify_of_network(session, caller.context, port.network_id)
    return operation_ids


def _remove(session: orm.Session, caller: Caller, port: Port) -> list[str]:
    """Delete a port; raises InUse while a server holds it."""
    caller.check("delete_port", port.project_id, session.get_one(Network, port.network_id).project_id)
    if port.server_id is not None:
        raise errors.InUse(f"Unable to complete operation on port {port.id}: port is in use by server "
                           f"{port.server_id}; delete or detach it.", resource="port", id=port.id, reason="server")
    port_rules.check_not_routed(session, port)
    routers.forget_ports(session, [port.id])
    routers.stop_forwarding(session, [port.id])
    groups = security_groups.groups_of(session, [port.id])
    operation_ids = security_groups.notify_hosts(session, caller.context, groups, rules_changed=False,
                                                 port_ids=[port.id])
    for model in (PortSecurityGroup, FixedIp):
        session.execute(sa.delete(model).where(model.port_id == port.id))
    session.delete(port)
    return operation_ids


def _records(session: orm.Session, _caller: Caller, ports: Sequence[Port]) -> list[PortRecord]:
    port_ids = [port.id for port in ports]
    addresses: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for port_id, subnet_id, address in session.execute(
            sa.select(FixedIp.port_id, FixedIp.subnet_id, FixedIp.ip_address).where(FixedIp.port_id.in_(port_ids))
            .order_by(FixedIp.ip_address)).tuples():
        addresses[port_id].append((subnet_id, address))
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for port_id, group_id in session.execute(
            sa.select(PortSecurityGroup.port_id, PortSecurityGroup.group_id)
            .where(PortSecurityGroup.port_id.in_(port_ids)).order_by(PortSecurityGroup.group_id)).tuples():
        groups[port_id].append(group_id)
    hosts = dict(session.execute(sa.select(Host.id, Host.name).where(
        Host.id.in_([port.host_id for port in ports if port.host_id]))).tuples().all())
    networks = {row.id: row for row in session.execute(
        sa.select(Network.id, Network.dns_domain, Network.qos_policy_id).where(
            Network.id.in_({port.network_id for port in ports})))}
    return [PortRecord(port, tuple(addresses[port.id]), tuple(groups[port.id]), hosts.get(port.host_id or ""),
                       networks[port.network_id].dns_domain, networks[port.network_id].qos_policy_id)
            for port in ports]


def _subnets(session: orm.Session, network_id: str) -> list[Subnet]:
    return list(session.scalars(sa.select(Subnet).where(Subnet.network_id == network_id)
                                .order_by(Subnet.created_at, Subnet.id)))


def _draft(session: orm.Session, caller: Caller, project_id: str, values: Mapping[str, Any]) -> place_ports.Draft:
    network = find(session, caller, Network, values["network_id"])
    port_rules.check_rights(session, caller, "create", project_id, network, values)
    new = port_rules.columns(network, values)
    new.setdefault("port_security_enabled", network.port_security_enabled)
    new["qos_policy_id"] = policy_to_bind(session, caller, new.get("qos_policy_id"))
    requests = port_rules.requests(caller, network, _subnets(session, network.id), values.get("fixed_ips"),
                                   device_owner=new.get("device_owner", ""))
    groups = port_rules.groups_of_new(session, caller, project_id, new, values)
    return place_ports.Draft(network, project_id, requests, new.pop("mac_address", None), tuple(groups), new)


def _move(session: orm.Session, caller: Caller, port: Port, network: Network,
          given: Sequence[Mapping[str, str]]) -> bool:
    """Make the port's addresses those given, keeping what fits; return whether anything is different."""
    rows = session.scalars(sa.select(FixedIp).where(FixedIp.port_id == port.id)).all()
    requests, kept = port_rules.requests_after(caller, network, _subnets(session, network.id), rows, given,
                                               device_owner=port.device_owner)
    gone = {row.id: row.ip_address for row in rows if row.id not in kept}
    if gone:
        port_rules.check_not_led_to(session, port.id, gone.values())
        session.execute(sa.delete(FixedIp).where(FixedIp.id.in_(gone)))
        routers.forget_addresses(session, port.id)
    if requests:
        place_ports.give_addresses(session, port, requests)
    return bool(gone or requests)


def _set_groups(session: orm.Session, port: Port, before: Collection[str], after: Collection[str]) -> bool:
    gone, come = set(before) - set(after), set(after) - set(before)
    if gone:
        session.execute(sa.delete(PortSecurityGroup).where(PortSecurityGroup.port_id == port.id,
                                                           PortSecurityGroup.group_id.in_(gone)))
    session.add_all([PortSecurityGroup(port_id=port.id, group_id=group_id) for group_id in sorted(come)])
    return bool(gone or come)


def _flush(session: orm.Session, port: Port) -> None:
    mac, network_id = port.mac_address, port.network_id
    try:
        session.flush()
    except exc.IntegrityError as error:
        raise errors.NotUnique(f"Unable to complete operation for network {network_id}. The mac address {mac} is in "
                               "use.", resource="MAC address", id=mac) from error


VERBS: Final = Verbs(resource=PORT, records=_records, add=_add, change=_change, remove=_remove)
