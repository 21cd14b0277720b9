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
from hostler.resources.network import ipam, place_ports, routers, security_groups, sharing
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
    return caller.write(lambda session: join(
        session, caller, find_to_change(session, caller, Router, router_id), subnet_id, port_id))


def remove_interface(caller: Caller, router_id: str, subnet_id: str | None, port_id: str | None) -> InterfaceRecord:
    """Take a subnet from a router, with the port; raises NotFound, and InUse while floating IPs or routes need it."""
    return caller.write(lambda session: leave(
        session, caller, find_to_change(session, caller, Router, router_id), subnet_id, port_id))


def join(session: orm.Session, caller: Caller, router: Router, subnet_id: str | None,
         port_id: str | None = None) -> tuple[InterfaceRecord, list[str]]:
    """As `add_interface`, in the caller's transaction; also returns the operations to wake after it."""
    caller.check("add_router_interface", router.project_id)
    if (subnet_id is None) == (port_id is None):
        raise errors.Invalid("Bad router request: Either subnet_id or port_id must be specified." if port_id is None
                             else "Bad router request: Cannot specify both subnet-id and port-id.",
                             reason="one of subnet_id and port_id is needed")
    if port_id is None:
        subnet = _subnet_to_join(session, caller, router, str(subnet_id))
        port, joined = _port_at(session, caller, router, subnet), [subnet]
    else:
        port, joined = _taken_port(session, caller, router, port_id)
    if session.get(RouterPort, port.id) is None:
        session.add(RouterPort(port_id=port.id, router_id=router.id, role=INTERFACE))
    router.revision += 1
    session.flush()
    record = InterfaceRecord(router, port.id, port.network_id, tuple(subnet.id for subnet in joined))
    return record, notify_of_router(session, caller.context, router.id)


def leave(session: orm.Session, caller: Caller, router: Router, subnet_id: str | None,
          port_id: str | None = None) -> tuple[InterfaceRecord, list[str]]:
    """As `remove_interface`, in the caller's transaction; also returns the operations to wake after it."""
    caller.check("remove_router_interface", router.project_id)
    port, subnets = _interface(session, router, subnet_id, port_id)
    for subnet in subnets:
        _check_unused(session, router, subnet)
    record = InterfaceRecord(router, port.id, port.network_id, tuple(subnet.id for subnet in subnets))
    if len(subnets) < len(port_subnets(session, port.id)):
        session.execute(sa.delete(FixedIp).where(FixedIp.port_id == port.id, FixedIp.subnet_id == subnets[0].id))
        routers.forget_addresses(session, port.id)
        port.revision += 1
        operation_ids = []
    else:
        operation_ids = _remove_port(session, caller, port)
    router.revision += 1
    session.flush()
    return record, operation_ids + notify_of_router(session, caller.context, router.id, [record.network_id])


def subnets_of(session: orm.Session, router: Router) -> set[str]:
    """Return the ids of the subnets that a router joins."""
    return set(session.scalars(sa.select(FixedIp.subnet_id).join(RouterPort, RouterPort.port_id == FixedIp.port_id)
                               .where(RouterPort.router_id == router.id, RouterPort.role == INTERFACE)))


def router_of(session: orm.Session, port: Port) -> Router | None:
    """Return the router whose interface a port is."""
    return session.scalars(sa.select(Router).join(RouterPort, RouterPort.router_id == Router.id).where(
        RouterPort.port_id == port.id, RouterPort.role == INTERFACE)).one_or_none()


def follow_addresses(session: orm.Session, caller: Caller, router: Router, port: Port,
                     before: Sequence[Subnet]) -> list[str]:
    """Make hosts follow the new addresses of an interface on its subnets, which were `before`.

    Raises Invalid for other subnets, which are joined and left through the router, and InUse for a route's next hop.
    """
    if {subnet.id for subnet in before} != {subnet.id for subnet in port_subnets(session, port.id)}:
        raise errors.Invalid(f"Bad router request: the subnets of port {port.id} change with add_router_interface and "
                             "remove_router_interface only.", reason="other subnets", port=port.id)
    addresses = session.scalars(sa.select(FixedIp.ip_address).where(FixedIp.port_id == port.id)).all()
    if any(route["nexthop"] in addresses for route in router.routes):
        raise errors.InUse(f"An address of port {port.id} is the next hop of a route of router {router.id}.",
                           resource="router interface", id=port.id, reason="interface for routes")
    router.revision += 1
    return notify_of_router(session, caller.context, router.id)


def _remove_port(session: orm.Session, caller: Caller, port: Port) -> list[str]:
    """Delete the port, which its owner may have made and given groups and another router's floating IPs."""
    routers.forget_ports(session, [port.id])
    routers.stop_forwarding(session, [port.id])
    operation_ids = security_groups.notify_hosts(
        session, caller.context, security_groups.groups_of(session, [port.id]), rules_changed=False,
        port_ids=[port.id])
    remove_ports(session, [port.id])
    session.expunge(port)
    return operation_ids


def _subnet_to_join(session: orm.Session, caller: Caller, router: Router, subnet_id: str) -> Subnet:
    subnet = find(session, caller, Subnet, subnet_id)
    if not (_is_owner(session, caller, subnet.network_id)
            or sharing.shared_among(session, [subnet.network_id], caller.project_id)):
        raise not_found(Subnet, subnet_id)
    if subnet.gateway_ip is None:
        raise errors.Invalid("Bad router request: Subnet for router interface must have a gateway IP.",
                             reason="no gateway", subnet=subnet.id)
    if subnet.ipv6_address_mode is not None and subnet.ipv6_ra_mode is None:
        raise errors.Invalid(f"Bad router request: IPv6 subnet {subnet.id} configured to receive RAs from an external "
                             "router cannot be added to Neutron Router.", reason="another router", subnet=subnet.id)
    _check_subnets(session, router, [subnet])
    return subnet


def _is_owner(session: orm.Session, caller: Caller, network_id: str) -> bool:
    return caller.sees_all or session.get_one(Network, network_id).project_id == caller.project_id


def _port_at(session: orm.Session, caller: Caller, router: Router, subnet: Subnet) -> Port:
    """Return the router's port with the subnet's gateway address: of IPv6, one for all subnets of a network."""
    network = session.get_one(Network, subnet.network_id)
    address = ipam.check_address(network, subnet, str(subnet.gateway_ip), device_owner=OWNER,
                                 owner=_is_owner(session, caller, network.id))
    request = ipam.AddressRequest((subnet,), address)
    there = _ipv6_port(session, router, network.id) if subnet.ip_version == 6 else None
    if there is not None:
        place_ports.give_addresses(session, there, [request])
        there.revision += 1
        return there
    [port] = place_ports.place(session, caller.services.conf, [place_ports.Draft(
        network, router.project_id, (request,), values={
            "device_id": router.id, "device_owner": OWNER, "status": "ACTIVE", "port_security_enabled": False})])
    return port


def _ipv6_port(session: orm.Session, router: Router, network_id: str) -> Port | None:
    return session.scalars(
        sa.select(Port).join(RouterPort, RouterPort.port_id == Port.id)
        .where(RouterPort.router_id == router.id, RouterPort.role == INTERFACE, Port.network_id == network_id,
               sa.exists().where(FixedIp.port_id == Port.id, FixedIp.subnet_id == Subnet.id, Subnet.ip_version == 6))
        .limit(1)).first()


def _taken_port(session: orm.Session, caller: Caller, router: Router, port_id: str) -> tuple[Port, list[Subnet]]:
    port = find(session, caller, Port, port_id, hold=True)
    if port.project_id != caller.project_id and not caller.sees_all:
        raise not_found(Port, port_id)
    if port.device_id or port.device_owner:
        raise errors.InUse(f"Unable to complete operation on port {port.id} for network {port.network_id}. Port "
                           f"already has an attached device {port.device_id}.", resource="port", id=port.id,
                           reason="device")
    subnets = port_subnets(session, port.id)
    if not subnets:
        raise errors.Invalid("Bad router request: Router port must have at least one fixed IP.", reason="no address",
                             port=port.id)
    if sum(subnet.ip_version == 4 for subnet in subnets) > 1:
        raise errors.Invalid("Bad router request: Cannot have multiple IPv4 subnets on router port.",
                             reason="several subnets", port=port.id)
    _check_subnets(session, router, subnets)
    other = _ipv6_port(session, router, port.network_id)
    if other is not None and any(subnet.ip_version == 6 for subnet in subnets):
        raise errors.Invalid(f"Bad router request: Router already contains IPv6 port {other.id} belonging to network "
                             f"id {port.network_id}. Only one IPv6 port from the same network subnet can be connected "
                             "to a router.", reason="another IPv6 port", port=port.id)
    port.device_id, port.device_owner, port.status = router.id, OWNER, "ACTIVE"
    port.revision += 1
    return port, subnets


def _check_subnets(session: orm.Session, router: Router, new: Sequence[Subnet]) -> None:
    there = session.execute(
        sa.select(Subnet.id, Subnet.cidr).join(FixedIp, FixedIp.subnet_id == Subnet.id)
        .join(RouterPort, RouterPort.port_id == FixedIp.port_id)
        .where(RouterPort.router_id == router.id, RouterPort.role != SNAT)).tuples().all()
    for subnet in new:
        for other_id, cidr in there:
            if other_id == subnet.id:
                raise errors.Invalid(f"Bad router request: Router already has a port on subnet {subnet.id}.",
                                     reason="there already", subnet=subnet.id)
            if ipaddress.ip_network(cidr).overlaps(ipaddress.ip_network(subnet.cidr)):
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
        subnets = port_subnets(session, port.id)
        if subnet_id is not None and ids.canonical(subnet_id) not in [subnet.id for subnet in subnets]:
            raise errors.Invalid(f"Subnet on port {port.id} does not match the requested subnet {subnet_id}.",
                                 reason="subnet mismatch", subnet=subnet_id)
        return port, subnets
    wanted = ids.canonical(str(subnet_id)) or ""
    port = session.scalars(mine.join(FixedIp, FixedIp.port_id == Port.id).where(FixedIp.subnet_id == wanted)).first()
    if port is None:
        raise errors.NotFound(f"Router {router.id} has no interface on subnet {subnet_id}",
                              resource="router interface on subnet", id=str(subnet_id))
    return port, [subnet for subnet in port_subnets(session, port.id) if subnet.id == wanted]


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


def port_subnets(session: orm.Session, port_id: str) -> list[Subnet]:
    """Return the subnets that a port has addresses of, oldest first."""
    return list(session.scalars(sa.select(Subnet).join(FixedIp, FixedIp.subnet_id == Subnet.id)
                                .where(FixedIp.port_id == port_id).order_by(Subnet.created_at)))
