"""Subnets: list, show, create, change, delete. The checks of a request are in `api.core.network.subnet_rules`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network import router_gateway, subnet_pools, subnet_rules
from api.core.network.scope import (
    Caller,
    claim_quota,
    find,
    owner_of_new,
    set_changed,
    with_shared,
)
from api.core.network.verbs import Verbs
from hostler import errors, ids
from hostler.db.models import FixedIp, Network, Port, RouterPort, Subnet
from hostler.query.fields import ADDRESS, Field
from hostler.query.resources import declare
from hostler.resources.network import autoconf, ipam, place_ports, security_groups, segments
from hostler.resources.network.host_updates import notify_of_network
from hostler.resources.network.routers import notify_of_router

SUBNET: Final = declare(Subnet, {name: Field(Subnet.__table__.c[name], ADDRESS) for name in ("cidr", "gateway_ip")})
# Changes of these reach hosts and guests.
_LIVE = {"gateway_ip", "dns_nameservers", "host_routes", "enable_dhcp", "dhcp_ip"}


@dataclasses.dataclass(frozen=True)
class SubnetRecord:
    """A subnet, and whether its network is external."""

    row: Subnet
    external: bool


def _add(session: orm.Session, caller: Caller, bodies: Sequence[Mapping[str, Any]]) -> tuple[list[Subnet], list[str]]:
    made = [add_subnet(session, caller, values) for values in bodies]
    port_ids = [port_id for subnet in made if autoconf.is_automatic(subnet)
                for port_id in place_ports.give_all(session, subnet)]
    regated = [router_id for subnet in made if not autoconf.is_automatic(subnet)
               for router_id in router_gateway.give_addresses(session, subnet)]
    _raise_revisions(session, {subnet.network_id for subnet in made})
    told = _notify(session, caller, {subnet.network_id for subnet in made}, port_ids)
    return made, [*told, *(operation for router_id in regated for operation in
                                              notify_of_router(session, caller.context, router_id))]


def _change(session: orm.Session, caller: Caller, subnet: Subnet, values: Mapping[str, Any]) -> list[str]:
    caller.check("update_subnet", subnet.project_id)
    new = subnet_rules.changed_values(subnet, values)
    if new.get("gateway_ip") is not None and new["gateway_ip"] != subnet.gateway_ip:
        _check_gateway_free(session, subnet, new["gateway_ip"])
    if subnet.gateway_ip is not None and new.get("gateway_ip", subnet.gateway_ip) != subnet.gateway_ip:
        _check_gateway_unrouted(session, subnet, subnet.gateway_ip)
    changed = set_changed(subnet, new)
    if subnet.enable_dhcp and subnet.dhcp_ip is None:
        subnet.dhcp_ip = ipam.choose_dhcp_address(session, subnet)
    elif not subnet.enable_dhcp:
        subnet.dhcp_ip = None
    session.flush()
    if changed:
        _raise_revisions(session, {subnet.network_id})
    return notify_of_network(session, caller.context, subnet.network_id) if changed & _LIVE else []


def _remove(session: orm.Session, caller: Caller, subnet: Subnet) -> list[str]:
    """Delete a subnet; raises InUse while ports have addresses of it that they do not form by themselves."""
    caller.check("delete_subnet", subnet.project_id)
    held = sa.select(FixedIp.port_id).join(Port, Port.id == FixedIp.port_id).where(FixedIp.subnet_id == subnet.id)
    port_ids: Sequence[str] = ()
    if autoconf.is_automatic(subnet):
        port_ids = session.scalars(held.where(Port.device_owner.not_in(autoconf.ROUTERS))).all()
        session.execute(sa.delete(FixedIp).where(FixedIp.subnet_id == subnet.id, FixedIp.port_id.in_(port_ids)))
    if session.scalars(held.limit(1)).first() is not None:
        raise _in_use(subnet.id)
    session.delete(subnet)
    _raise_revisions(session, {subnet.network_id})
    session.flush()
    return _notify(session, caller, {subnet.network_id}, port_ids)


def _raise_revisions(session: orm.Session, network_ids: Collection[str]) -> None:
    """Count a change of a subnet as one of its network, as the reference does."""
    session.execute(sa.update(Network).where(Network.id.in_(network_ids)).values(revision=Network.revision + 1))


def _records(session: orm.Session, _caller: Caller, rows: Sequence[Subnet]) -> list[SubnetRecord]:
    outside = set(session.scalars(sa.select(Network.id).where(
        Network.external, Network.id.in_({row.network_id for row in rows}))))
    return [SubnetRecord(row, row.network_id in outside) for row in rows]


def _notify(session: orm.Session, caller: Caller, network_ids: Collection[str], port_ids: Sequence[str]) -> list[str]:
    """Make hosts follow: those of the networks, and those whose rules admit ports that have other addresses now."""
    operation_ids = [operation for network_id in sorted(network_ids)
                     for operation in notify_of_network(session, caller.context, network_id)]
    if port_ids:
        session.execute(sa.update(Port).where(Port.id.in_(port_ids)).values(revision=Port.revision + 1)
                        .execution_options(synchronize_session=False))
        groups = security_groups.groups_of(session, port_ids)
        operation_ids += security_groups.notify_hosts(session, caller.context, groups, rules_changed=False,
                                                      port_ids=port_ids)
    return operation_ids


def _in_use(subnet_id: str) -> errors.InUse:
    return errors.InUse(f"Unable to complete operation on subnet {subnet_id}: One or more ports have an IP allocation "
                        "from this subnet.", resource="subnet", id=subnet_id, reason="addresses")


def add_subnet(session: orm.Session, caller: Caller, values: Mapping[str, Any]) -> Subnet:
    """Write a new subnet; the caller makes hosts follow."""
    network = find(session, caller, Network, values["network_id"], hold=True)
    project_id = owner_of_new(session, caller, values)
    caller.check("create_subnet", project_id, network.project_id)
    new = subnet_rules.new_values(subnet_pools.choose_block(session, caller, network, project_id, values))
    _check_overlap(session, network, new["cidr"])
    segments.check_least_mtu(network.id, network.mtu, [new["ip_version"]])
    claim_quota(caller, session, project_id, "subnets")
    subnet = Subnet(id=ids.new_id(), **{**new, "network_id": network.id, "project_id": project_id})
    if subnet.enable_dhcp:
        subnet.dhcp_ip = ipam.choose_dhcp_address(session, subnet)
    session.add(subnet)
    session.flush()
    return subnet


def _check_overlap(session: orm.Session, network: Network, cidr: str) -> None:
    others = session.scalars(sa.select(Subnet.cidr).where(Subnet.network_id == network.id)).all()
    if subnet_rules.overlaps(cidr, others):
        raise errors.InvalidField(
            f"Invalid input for operation: Requested subnet with cidr: {cidr} for network: {network.id} overlaps with "
            "another subnet.", field="cidr", value=cidr, reason="overlap")


def _check_gateway_free(session: orm.Session, subnet: Subnet, address: str) -> None:
    holder = session.scalars(sa.select(FixedIp.port_id).where(FixedIp.subnet_id == subnet.id,
                                                              FixedIp.ip_address == address)).first()
    if holder is not None:
        raise errors.InUse(f"Gateway ip {address} is already in use by port {holder}. Unable to update.",
                           resource="gateway", id=address, reason="port")


def _check_gateway_unrouted(session: orm.Session, subnet: Subnet, address: str) -> None:
    router_port = session.scalars(
        sa.select(FixedIp.port_id).join(RouterPort, RouterPort.port_id == FixedIp.port_id)
        .where(FixedIp.subnet_id == subnet.id, FixedIp.ip_address == address)).first()
    if router_port is not None:
        raise errors.InUse(f"Gateway ip {address} is already in use by port {router_port}. Unable to update.",
                           resource="gateway", id=address, reason="port")


VERBS: Final = Verbs(
    resource=SUBNET, records=_records, add=_add, change=_change, remove=_remove, in_use=_in_use,
    listed=lambda caller, resource: with_shared(caller, resource, Subnet.network_id))
