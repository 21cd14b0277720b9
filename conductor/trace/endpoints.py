"""Both ends of a packet's way, as the records have them."""

from __future__ import annotations

import dataclasses
import ipaddress

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import errors, ids
from hostler.db.models import (
    FixedIp,
    FloatingIp,
    Host,
    Port,
    PortForwarding,
    PortSecurityGroup,
    Router,
    RouterPort,
    SecurityGroup,
)
from hostler.resources.network.port_specs import port_specs
from hostler.resources.network.router_specs import INTERFACE, joined_networks
from hostler.resources.server.specs import PortSpec


@dataclasses.dataclass(frozen=True)
class Place:
    """A host: its name, tunnel address and traits."""

    name: str
    tunnel_ip: str
    traits: frozenset[str]


@dataclasses.dataclass(frozen=True)
class End:
    """A server's port with one of its addresses. `floating` is the external address by which it is meant, `groups` are
    its security groups: id → name, `down_routers` those on its network that are switched off."""

    port: PortSpec
    address: str
    status: str
    place: Place | None
    groups: dict[str, str]
    down_routers: tuple[str, ...] = ()
    floating: str | None = None

    @property
    def host(self) -> str:
        """Its host's name, for people."""
        return self.place.name if self.place is not None else "no host"


def sender(session: orm.Session, port_id: str, to: str) -> End:
    """Return the end at a port, at its first address of an IP version that `to`, an address or a port, has as well.

    Raises NotFound, and Invalid for a port that belongs to no server or has no such address.
    """
    end = _end(session, port_id, None)
    other = ids.canonical(to)
    if other is None:
        return _end(session, port_id, ipaddress.ip_address(to).version)
    versions = {ipaddress.ip_address(fixed.ip_address).version for fixed in _end(session, other, None).port.fixed_ips}
    shared = [fixed.ip_address for fixed in end.port.fixed_ips
              if ipaddress.ip_address(fixed.ip_address).version in versions]
    return dataclasses.replace(end, address=shared[0]) if shared else end


def receiver(session: orm.Session, source: End, to: str) -> tuple[str, End | None]:
    """Return the address that is meant by `to` and the end that has it: None when no port here has it.

    A port is meant by its first address of the source's IP version. An address is looked for on the source's network,
    then on those that routers join with it, then among floating IPs; one of IPv6, which is not translated, anywhere, if
    a single port has it.
    """
    version = ipaddress.ip_address(source.address).version
    port_id = ids.canonical(to)
    if port_id is not None:
        found = _end(session, port_id, version)
        return found.address, found
    address = str(ipaddress.ip_address(to))
    network_id = source.port.network.id
    for networks in ([network_id], list(session.scalars(joined_networks(network_id)))):
        there = session.scalars(sa.select(FixedIp.port_id).join(Port, Port.id == FixedIp.port_id).where(
            FixedIp.ip_address == address, Port.network_id.in_(networks), Port.server_id.is_not(None))).first()
        if there is not None:
            return address, dataclasses.replace(_end(session, there, version), address=address)
    if version == 6:
        there_too = session.scalars(sa.select(FixedIp.port_id).join(Port, Port.id == FixedIp.port_id).where(
            FixedIp.ip_address == address, Port.server_id.is_not(None)).limit(2)).all()
        return address, dataclasses.replace(_end(session, there_too[0], version), address=address) if len(
            there_too) == 1 else None
    floating = session.scalars(sa.select(FloatingIp).where(FloatingIp.address == address)).first()
    if floating is None or floating.port_id is None:
        return address, None
    found = _end(session, floating.port_id, version)
    return address, dataclasses.replace(found, address=str(floating.fixed_ip_address), floating=address)


def forwarded(session: orm.Session, address: str, protocol: str, port: int | None) -> tuple[End, int] | None:
    """Return the end, and the port there, to which a port of a floating IP is forwarded."""
    if port is None:
        return None
    row = session.scalars(
        sa.select(PortForwarding).join(FloatingIp, FloatingIp.id == PortForwarding.floating_ip_id)
        .where(FloatingIp.address == address, PortForwarding.protocol == protocol,
               PortForwarding.external_first <= port, PortForwarding.external_last >= port)).first()
    if row is None:
        return None
    inner = row.internal_first + (port - row.external_first if row.internal_first != row.internal_last else 0)
    found = _end(session, row.port_id, 4)
    return dataclasses.replace(found, address=row.fixed_ip_address, floating=address), inner


def _end(session: orm.Session, port_id: str, version: int | None) -> End:
    port = session.get(Port, ids.canonical(port_id) or "")
    if port is None:
        raise errors.NotFound(resource="port", id=port_id)
    spec = next((one for specs in port_specs(session, port_ids=[port.id]).values() for one in specs), None)
    if spec is None:
        raise errors.Invalid(reason=f"Port {port.id} belongs to no server.")
    addresses = [fixed.ip_address for fixed in spec.fixed_ips
                 if version in (None, ipaddress.ip_address(fixed.ip_address).version)]
    if not addresses:
        raise errors.Invalid(reason=f"Port {port.id} has no IPv{version} address." if version
                             else f"Port {port.id} has no address.")
    host = session.get(Host, port.host_id) if port.host_id else None
    groups = session.execute(sa.select(SecurityGroup.id, SecurityGroup.name)
                             .join(PortSecurityGroup, PortSecurityGroup.group_id == SecurityGroup.id)
                             .where(PortSecurityGroup.port_id == port.id).order_by(SecurityGroup.name)).tuples()
    inner = orm.aliased(Port)
    down = session.scalars(sa.select(Router.id).join(RouterPort, RouterPort.router_id == Router.id)
                           .join(inner, inner.id == RouterPort.port_id).where(
        RouterPort.role == INTERFACE, inner.network_id == port.network_id, ~Router.admin_state_up))
    return End(spec, addresses[0], port.status,
               None if host is None else Place(host.name, host.tunnel_ip, frozenset(host.traits)),
               dict(groups.all()), tuple(down))
