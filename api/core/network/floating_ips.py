"""Floating IPs: list, show, create, change, delete.

An address of an external network, held by a port of its own, that leads to an address of a port whose subnet a router
joins with that network. The port's host translates it, so the address moves with the guest.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.network.scope import (
    Caller,
    claim_quota,
    find,
    owner_of_new,
    set_changed,
)
from api.core.network.verbs import Verbs
from hostler import errors, ids
from hostler.db.models import FixedIp, FloatingIp, Network, Port, PortForwarding, Router, RouterPort, Subnet
from hostler.query.fields import ADDRESS, Field
from hostler.query.resources import declare
from hostler.resources.network import ipam, place_ports
from hostler.resources.network.host_updates import notify_of_port
from hostler.resources.network.router_specs import GATEWAY, INTERFACE
from hostler.resources.network.routers import notify_of_elected, remove_ports

OWNER: Final = "network:floatingip"
FLOATING_IP: Final = declare(FloatingIp, {
    "status": Field(FloatingIp.status),
    **{name: Field(FloatingIp.__table__.c[name], ADDRESS) for name in ("address", "fixed_ip_address")}})
_TARGET = ("port_id", "fixed_ip_address")


@dataclasses.dataclass(frozen=True)
class Described:
    """A floating IP, the name of its network, the port it leads to, and its port forwardings."""

    row: FloatingIp
    network_name: str
    port: Port | None
    forwardings: tuple[PortForwarding, ...]


def _add(session: orm.Session, caller: Caller,
         bodies: Sequence[Mapping[str, Any]]) -> tuple[list[FloatingIp], list[str]]:
    operation_ids: list[str] = []
    return [_create(session, caller, values, operation_ids) for values in bodies], operation_ids


def _change(session: orm.Session, caller: Caller, row: FloatingIp, values: Mapping[str, Any]) -> list[str]:
    """Change a floating IP, or where it leads: `port_id` None is nowhere."""
    caller.check("update_floatingip", row.project_id)
    wanted = values or {"port_id": None}  # the published way of old to lead it nowhere
    new = {name: value for name, value in wanted.items() if name not in _TARGET}
    before, led_by = row.port_id, row.router_id
    forwards = _forwards(session, PortForwarding.floating_ip_id == row.id)
    if forwards and wanted.get("port_id") is not None:
        raise _in_use(row)
    if ("port_id" in wanted and not forwards) or wanted.get("fixed_ip_address") is not None:
        new |= _target(session, caller, row, wanted.get("port_id", row.port_id), wanted.get("fixed_ip_address"))
    changed = set_changed(row, new)
    _flush(session, row)
    moved = changed & {*_TARGET, "router_id"}
    return _tell(session, caller, {before, row.port_id}, {led_by, row.router_id}) if moved else []


def _remove(session: orm.Session, caller: Caller, row: FloatingIp) -> list[str]:
    """Delete a floating IP; its address is free for others."""
    caller.check("delete_floatingip", row.project_id)
    if _forwards(session, PortForwarding.floating_ip_id == row.id):
        raise _in_use(row)
    port_id, public_port_id, led_by = row.port_id, row.public_port_id, row.router_id
    session.delete(row)
    session.flush()
    remove_ports(session, [public_port_id])
    return _tell(session, caller, {port_id}, {led_by})


def _described(session: orm.Session, _caller: Caller, rows: Sequence[FloatingIp]) -> list[Described]:
    row_ids = [row.id for row in rows]
    found = {row.id: row for row in session.execute(
        sa.select(FloatingIp.id, Network.name, Port)
        .join(Network, Network.id == FloatingIp.network_id).outerjoin(Port, Port.id == FloatingIp.port_id)
        .where(FloatingIp.id.in_(row_ids)))}
    forwardings: defaultdict[str, list[PortForwarding]] = defaultdict(list)
    for forwarding in session.scalars(sa.select(PortForwarding).where(PortForwarding.floating_ip_id.in_(row_ids))
                                      .order_by(PortForwarding.created_at, PortForwarding.id)):
        forwardings[forwarding.floating_ip_id].append(forwarding)
    return [Described(row, found[row.id].name, found[row.id].Port, tuple(forwardings[row.id]))
            for row in rows if row.id in found]


def _create(session: orm.Session, caller: Caller, values: Mapping[str, Any], operation_ids: list[str]) -> FloatingIp:
    project_id = owner_of_new(session, caller, values)
    caller.check("create_floatingip", project_id)
    if values.get("address") is not None:
        caller.check("create_floatingip:floating_ip_address", project_id)
    claim_quota(caller, session, project_id, "floatingips")
    network = find(session, caller, Network, str(values["network_id"]))
    if not network.external:
        raise errors.Invalid(reason=f"Bad floatingip request: Network {network.id} is not a valid external network.")
    row = FloatingIp(id=ids.new_id(), project_id=project_id, network_id=network.id,
                     description=values.get("description"))
    target = _target(session, caller, row, values.get("port_id"), values.get("fixed_ip_address"))
    [public] = place_ports.place(session, caller.services.conf, [place_ports.Draft(
        network, network.project_id, (_request(session, network, values),), values={
            "device_id": row.id, "device_owner": OWNER, "status": "N/A", "port_security_enabled": False})])
    row.public_port_id = public.id
    row.address = session.scalars(sa.select(FixedIp.ip_address).where(FixedIp.port_id == public.id)).one()
    for name, value in target.items():
        setattr(row, name, value)
    session.add(row)
    _flush(session, row)
    operation_ids += _tell(session, caller, {row.port_id}, {row.router_id})
    return row


def _request(session: orm.Session, network: Network, values: Mapping[str, Any]) -> ipam.AddressRequest:
    subnets = list(session.scalars(sa.select(Subnet).where(Subnet.network_id == network.id, Subnet.ip_version == 4)
                                   .order_by(Subnet.created_at, Subnet.id)))
    if values.get("subnet_id") is not None:
        subnets = [subnet for subnet in subnets if subnet.id == ids.canonical(values["subnet_id"])]
        if not subnets:
            raise errors.Invalid(reason=f"Bad floatingip request: Subnet {values['subnet_id']} is not an IPv4 subnet "
                                        f"of network {network.id}.")
    if not subnets:
        raise errors.Invalid(f"Unable to find any IP address on external network {network.id}.",
                             reason="external addresses exhausted", network=network.id)
    address = values.get("address")
    if address is None:
        return ipam.AddressRequest(tuple(subnets))
    subnet = ipam.subnet_with(subnets, address)
    if subnet is None:
        raise errors.Invalid(f"Invalid input for operation: IP address {address} is not a valid IP for any of the "
                             "subnets on the specified network.", reason="invalid address", address=address)
    return ipam.AddressRequest((subnet,), ipam.check_address(network, subnet, address, owner=True))


def _target(session: orm.Session, caller: Caller, row: FloatingIp, port_id: str | None,
            address: str | None) -> dict[str, str | None]:
    """Return the columns that say where the floating IP leads; raises when it cannot lead there."""
    if port_id is None:
        if address is not None:
            raise errors.Invalid(reason="Bad floatingip request: fixed_ip_address cannot be specified without a "
                                        "port_id.")
        return {"port_id": None, "fixed_ip_address": None, "router_id": None}
    port = find(session, caller, Port, port_id, hold=True)
    if port.project_id != row.project_id and not caller.sees_all:
        raise errors.Invalid(f"Port {port.id} is associated with a different project than Floating IP {row.id} and "
                             "therefore cannot be bound.", reason="another project's port", port=port.id)
    if _forwards(session, PortForwarding.port_id == port.id):
        raise errors.Invalid(f"Cannot associate floating IP to port {port.id} because it already has a Port Forwarding "
                             "binding.", reason="port has a port forwarding", port=port.id)
    subnet_id, fixed = _fixed_address(session, port, address)
    return {"port_id": port.id, "fixed_ip_address": fixed,
            "router_id": router_between(session, row.network_id, port, subnet_id)}


def _forwards(session: orm.Session, which: sa.ColumnElement[bool]) -> bool:
    return session.scalars(sa.select(PortForwarding.id).where(which).limit(1)).first() is not None


def _in_use(row: FloatingIp) -> errors.InUse:
    return errors.InUse(f"Floating IP {row.id} in use by Port Forwarding resources.",
                        resource="floating IP with port forwardings", id=row.id, reason="port forwardings")


def _fixed_address(session: orm.Session, port: Port, wanted: str | None) -> tuple[str, str]:
    held = session.execute(
        sa.select(FixedIp.subnet_id, FixedIp.ip_address).join(Subnet, Subnet.id == FixedIp.subnet_id)
        .where(FixedIp.port_id == port.id, Subnet.ip_version == 4)).tuples().all()
    if wanted is not None:
        for subnet_id, address in held:
            if address == wanted:
                return subnet_id, address
        raise errors.Invalid(reason=f"Bad floatingip request: Port {port.id} does not have fixed ip {wanted}.")
    if not held:
        raise errors.Invalid(reason=f"Bad floatingip request: Cannot add floating IP to port {port.id} that has no "
                                    "fixed IPv4 addresses.")
    if len(held) > 1:
        raise errors.Invalid(reason=f"Bad floatingip request: Port {port.id} has multiple fixed IPv4 addresses. Must "
                                    "provide a specific IPv4 address when assigning a floating IP.")
    return held[0]


def router_between(session: orm.Session, external_id: str, port: Port, subnet_id: str) -> str:
    """Return the router, held, that joins a port's subnet with an external network; raises NotFound."""
    inside, outside, outer = orm.aliased(RouterPort), orm.aliased(RouterPort), orm.aliased(Port)
    found = session.scalars(
        sa.select(inside.router_id).join(FixedIp, FixedIp.port_id == inside.port_id)
        .join(outside, outside.router_id == inside.router_id).join(outer, outer.id == outside.port_id)
        .where(inside.role == INTERFACE, FixedIp.subnet_id == subnet_id, outside.role == GATEWAY,
               outer.network_id == external_id).order_by(inside.router_id).limit(1)).first()
    if found is None:
        raise errors.NotFound(
            f"External network {external_id} is not reachable from subnet {subnet_id}. Therefore, cannot associate "
            f"Port {port.id} with a Floating IP.", resource="external gateway for floating IP", id=external_id)
    # Its gateway or interface must not go while this transaction relies on it.
    session.execute(sa.select(Router.id).where(Router.id == found).with_for_update())
    return str(found)


def _tell(session: orm.Session, caller: Caller, port_ids: set[str | None],
          router_ids: set[str | None]) -> list[str]:
    elected = notify_of_elected(session, caller.context, router_ids)
    return elected + [operation_id for port in session.scalars(sa.select(Port).where(
        Port.id.in_([port_id for port_id in port_ids if port_id is not None])).order_by(Port.id))
        for operation_id in notify_of_port(session, caller.context, port)]


def _flush(session: orm.Session, row: FloatingIp) -> None:
    address, port_id, fixed = row.address, row.port_id, row.fixed_ip_address
    try:
        session.flush()
    except exc.IntegrityError as error:
        raise errors.Conflict(
            f"Cannot associate floating IP {address} with port {port_id} using fixed IP {fixed}, as that fixed IP "
            "already has a floating IP.", reason="port has a floating IP", port=port_id) from error


VERBS: Final = Verbs(resource=FLOATING_IP, records=_described, add=_add, change=_change, remove=_remove)
