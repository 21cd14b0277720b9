"""A router's interfaces: ports on the subnets it joins, added and removed by subnet or by port."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.router_gateway import overlap
from api.core.network.scope import Caller, find, find_to_change, not_found
from hostler import errors, ids
from hostler.db.models import FixedIp, FloatingIp, Network, Port, PortForwarding, Router, RouterPort, Subnet
from hostler.resources.network import ipam, place_ports, sharing
from hostler.resources.network.router_specs import INTERFACE, SNAT
from hostler.resources.network.routers import notify_of_router, remove_ports

OWNER: Final = "network:router_interface"


@dataclasses.dataclass(frozen=True)
class InterfaceRecord:
    """An interface that was added or removed."""

    router: Router
    port_id: str
    network_id: str
    subnet_ids: tuple[str, ...]


def add_interface(caller: Caller, router_id: str, subnet_id: str | None, port_id: str | None) -> InterfaceRecord:
    """Join a subnet to a router, at its gateway address or that of a port; the hosts of its guests follow.

    Raises NotFound, Invalid for a subnet that the router cannot have, InUse for a port in use, NotUnique for a gateway
    address in use.
    """
    def work(session: orm.Session) -> tuple[InterfaceRecord, list[str]]:
        router = find_to_change(session, caller, Router, router_id)
        caller.check("add_router_interface", router.project_id)
        if (subnet_id is None) == (port_id is None):
            raise errors.Invalid("Bad router request: Either subnet_id or port_id must be specified." if port_id is None
                                 else "Bad router request: Cannot specify both subnet-id and port-id.",
                                 reason="one of subnet_id and port_id is needed")
        port = (_new_port(session, caller, router, str(subnet_id)) if port_id is None
                else _taken_port(session, caller, router, port_id))
        session.add(RouterPort(port_id=port.id, router_id=router.id, role=INTERFACE))
        router.revision += 1
        session.flush()
        record = InterfaceRecord(router, port.id, port.network_id, _subnet_ids(session, port.id))
        return record, notify_of_router(session, caller.context, router.id)
    return caller.write(work)


def remove_interface(caller: Caller, router_id: str, subnet_id: str | None, port_id: str | None) -> InterfaceRecord:
    """Take a subnet from a router, with the port; raises NotFound, and InUse while floating IPs or routes need it."""
    def work(session: orm.Session) -> tuple[InterfaceRecord, list[str]]:
        router = find_to_change(session, caller, Router, router_id)
        caller.check("remove_router_interface", router.project_id)
        port, subnets = _interface(session, router, subnet_id, port_id)
        for subnet in subnets:
            _check_unused(session, router, subnet)
        record = InterfaceRecord(router, port.id, port.network_id, tuple(subnet.id for subnet in subnets))
        remove_ports(session, [port.id])
        session.expunge(port)
        router.revision += 1
        session.flush()
        return record, notify_of_router(session, caller.context, router.id, [record.network_id])
    return caller.write(work)


def _new_port(session: orm.Session, caller: Caller, router: Router, subnet_id: str) -> Port:
    subnet = find(session, caller, Subnet, subnet_id)
    network = session.get_one(Network, subnet.network_id)
    owner = caller.sees_all or network.project_id == caller.project_id
    if not (owner or sharing.shared_among(session, [network.id], caller.project_id)):
        raise not_found(Subnet, subnet_id)
    if subnet.gateway_ip is None:
        raise errors.Invalid("Bad router request: Subnet for router interface must have a gateway IP.",
                             reason="no gateway", subnet=subnet.id)
    _check_subnets(session, router, [subnet])
    address = ipam.check_address(network, subnet, subnet.gateway_ip, owner=owner)
    [port] = place_ports.place(session, caller.services.conf, [place_ports.Draft(
        network, router.project_id, (ipam.AddressRequest((subnet,), address),), values={
            "device_id": router.id, "device_owner": OWNER, "status": "ACTIVE", "port_security_enabled": False})])
    return port


def _taken_port(session: orm.Session, caller: Caller, router: Router, port_id: str) -> Port:
    port = find(session, caller, Port, port_id, hold=True)
    if port.project_id != caller.project_id and not caller.sees_all:
        raise not_found(Port, port_id)
    if port.device_id or port.device_owner:
        raise errors.InUse(f"Unable to complete operation on port {port.id} for network {port.network_id}. Port "
                           f"already has an attached device {port.device_id}.", resource="port", id=port.id,
                           reason="device")
    subnets = _subnets(session, port.id)
    if not subnets:
        raise errors.Invalid("Bad router request: Router port must have at least one fixed IP.", reason="no address",
                             port=port.id)
    if len(subnets) > 1:
        raise errors.Invalid("Bad router request: Cannot have multiple IPv4 subnets on router port.",
                             reason="several subnets", port=port.id)
    _check_subnets(session, router, subnets)
    port.device_id, port.device_owner, port.status = router.id, OWNER, "ACTIVE"
    port.revision += 1
    return port


def _check_subnets(session: orm.Session, router: Router, new: Sequence[Subnet]) -> None:
    there = session.execute(
        sa.select(Subnet.id, Subnet.cidr).join(FixedIp, FixedIp.subnet_id == Subnet.id)
        .join(RouterPort, RouterPort.port_id == FixedIp.port_id)
        .where(RouterPort.router_id == router.id, RouterPort.role != SNAT)).tuples().all()
    for subnet in new:
        if subnet.ip_version != 4:
            raise errors.NotImplementedHere(feature="An IPv6 subnet of a router")
        for other_id, cidr in there:
            if other_id == subnet.id:
                raise errors.Invalid(f"Bad router request: Router already has a port on subnet {subnet.id}.",
                                     reason="there already", subnet=subnet.id)
            if ":" not in cidr and ipaddress.IPv4Network(cidr).overlaps(ipaddress.IPv4Network(subnet.cidr)):
                raise overlap(subnet, other_id, cidr)


def _interface(session: orm.Session, router: Router, subnet_id: str | None,
               port_id: str | None) -> tuple[Port, list[Subnet]]:
    if subnet_id is None and port_id is None:
        raise errors.Invalid("Bad router request: Either subnet_id or port_id must be specified.",
                             reason="one of subnet_id and port_id is needed")
    mine = (sa.select(Port).join(RouterPort, RouterPort.port_id == Port.id)
            .where(RouterPort.router_id == router.id, RouterPort.role == INTERFACE))
    if port_id is not None:
        port = session.scalars(mine.where(Port.id == (ids.canonical(port_id) or ""))).one_or_none()
        if port is None:
            raise errors.NotFound(f"Router {router.id} does not have an interface with id {port_id}",
                                  resource="router interface", id=port_id)
        subnets = _subnets(session, port.id)
        if subnet_id is not None and ids.canonical(subnet_id) not in [subnet.id for subnet in subnets]:
            raise errors.Invalid(f"Subnet on port {port.id} does not match the requested subnet {subnet_id}.",
                                 reason="subnet mismatch", subnet=subnet_id)
        return port, subnets
    wanted = ids.canonical(str(subnet_id)) or ""
    port = session.scalars(mine.join(FixedIp, FixedIp.port_id == Port.id).where(FixedIp.subnet_id == wanted)).first()
    if port is None:
        raise errors.NotFound(f"Router {router.id} has no interface on subnet {subnet_id}",
                              resource="router interface on subnet", id=str(subnet_id))
    return port, _subnets(session, port.id)


def _check_unused(session: orm.Session, router: Router, subnet: Subnet) -> None:
    block = ipam.block_of(subnet)
    if any(ipaddress.ip_address(route["nexthop"]) in block for route in router.routes):
        raise errors.InUse(f"Router interface for subnet {subnet.id} on router {router.id} cannot be deleted, as it is "
                           "required by one or more routes.", resource="router interface", id=subnet.id,
                           reason="interface for routes")
    led_to = sa.or_(*(sa.and_(FixedIp.port_id == target.port_id, FixedIp.ip_address == target.fixed_ip_address)
                      for target in (FloatingIp, PortForwarding)))
    needed = session.scalars(
        sa.select(FloatingIp.id).outerjoin(PortForwarding, PortForwarding.floating_ip_id == FloatingIp.id)
        .join(FixedIp, led_to).where(FloatingIp.router_id == router.id, FixedIp.subnet_id == subnet.id)
        .limit(1)).first()
    if needed is not None:
        raise errors.InUse(f"Router interface for subnet {subnet.id} on router {router.id} cannot be deleted, as it is "
                           "required by one or more floating IPs.", resource="router interface", id=subnet.id,
                           reason="interface for floating IPs")


def _subnets(session: orm.Session, port_id: str) -> list[Subnet]:
    return list(session.scalars(sa.select(Subnet).join(FixedIp, FixedIp.subnet_id == Subnet.id)
                                .where(FixedIp.port_id == port_id).order_by(Subnet.created_at)))


def _subnet_ids(session: orm.Session, port_id: str) -> tuple[str, ...]:
    return tuple(subnet.id for subnet in _subnets(session, port_id))
