"""Port forwardings of a floating IP: list, show, create, change, delete.

A floating IP leads to one port, or by forwardings to ports of several, all behind one router. All who see the floating
IP see its forwardings. The hosts of the router's networks follow each change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.floating_ips import router_between
from api.core.network.scope import Caller, find, not_found
from hostler import errors, ids
from hostler.db.models import FixedIp, FloatingIp, Port, PortForwarding, Subnet
from hostler.query.fields import ADDRESS, Field
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare
from hostler.resources.network.routers import notify_of_router

PORT_FORWARDING: Final = declare(PortForwarding, {
    "fixed_ip_address": Field(PortForwarding.__table__.c.fixed_ip_address, ADDRESS)})
# Hosts are sent all of a router's, with each port on its networks.
MOST: Final = 100
_BUILT: Final = ("tcp", "udp")
_SIDES: Final = ("external", "internal")


def list_forwardings(floating_ip_id: str, caller: Caller, query: Query) -> Page:
    """Return a page of a floating IP's port forwardings; raises NotFound for the floating IP."""
    with caller.services.db.reading() as session:
        row = find(session, caller, FloatingIp, floating_ip_id)
        return read_page(session, PORT_FORWARDING, query, [PortForwarding.floating_ip_id == row.id])


def show_forwarding(floating_ip_id: str, caller: Caller, identifier: str) -> PortForwarding:
    """Return one port forwarding; raises NotFound."""
    with caller.services.db.reading() as session:
        return _find(session, find(session, caller, FloatingIp, floating_ip_id), identifier)


def create_forwardings(floating_ip_id: str, caller: Caller,
                       bodies: Sequence[Mapping[str, Any]]) -> list[PortForwarding]:
    """Write port forwardings, all or none; raises Invalid for what cannot be forwarded or collides with another one,
    InUse for a port with a floating IP, Conflict for a floating IP that leads to a port, or has too many."""
    def work(session: orm.Session) -> tuple[list[PortForwarding], list[str]]:
        row = _held(session, caller, floating_ip_id, "create")
        if row.port_id is not None:
            raise errors.Conflict(f"Cannot associate floating IP {row.address} with port {bodies[0]['port_id']} using "
                                  f"fixed IP {bodies[0]['fixed_ip_address']}, as that floating IP already leads to "
                                  f"port {row.port_id}.", reason="port has a floating IP", port=row.port_id)
        there = session.scalars(_of(row).with_only_columns(sa.func.count())).one()
        if there + len(bodies) > MOST:
            raise errors.Conflict(f"Quota exceeded for resources: ['port_forwarding']. Requested {len(bodies)}, but "
                                  f"already used {there} of {MOST}.", reason="quota", over="port_forwarding")
        made = [_write(session, caller, row, PortForwarding(id=ids.new_id(), floating_ip_id=row.id), values)
                for values in bodies]
        return made, notify_of_router(session, caller.context, str(row.router_id))
    return caller.write(work)


def update_forwarding(floating_ip_id: str, caller: Caller, identifier: str,
                      values: Mapping[str, Any]) -> PortForwarding:
    """Change a port forwarding; raises as `create_forwardings`."""
    def work(session: orm.Session) -> tuple[PortForwarding, list[str]]:
        row = _held(session, caller, floating_ip_id, "update")
        forwarding = _write(session, caller, row, _find(session, row, identifier), values)
        return forwarding, notify_of_router(session, caller.context, str(row.router_id))
    return caller.write(work)


def delete_forwarding(floating_ip_id: str, caller: Caller, identifier: str) -> None:
    """Delete a port forwarding; with the last one the floating IP is free."""
    def work(session: orm.Session) -> tuple[None, list[str]]:
        row = _held(session, caller, floating_ip_id, "delete")
        router_id = str(row.router_id)
        session.delete(_find(session, row, identifier))
        session.flush()
        row.revision += 1
        if session.scalars(_of(row).limit(1)).first() is None:
            row.router_id = None
        return None, notify_of_router(session, caller.context, router_id)
    caller.write(work)


def ports_of(forwarding: PortForwarding, side: str) -> tuple[int, int]:
    """Return the first and the last of the external or internal ports."""
    return getattr(forwarding, f"{side}_first"), getattr(forwarding, f"{side}_last")


def _of(row: FloatingIp) -> sa.Select[tuple[PortForwarding]]:
    return sa.select(PortForwarding).where(PortForwarding.floating_ip_id == row.id)


def _find(session: orm.Session, row: FloatingIp, identifier: str) -> PortForwarding:
    found = session.scalars(_of(row).where(PortForwarding.id == (ids.canonical(identifier) or ""))).one_or_none()
    if found is None:
        raise not_found(PortForwarding, identifier)
    return found


def _held(session: orm.Session, caller: Caller, floating_ip_id: str, verb: str) -> FloatingIp:
    row = find(session, caller, FloatingIp, floating_ip_id, hold=True)
    caller.check(f"{verb}_floatingip_port_forwarding", row.project_id)
    return row


def _write(session: orm.Session, caller: Caller, row: FloatingIp, forwarding: PortForwarding,
           values: Mapping[str, Any]) -> PortForwarding:
    """Set what a request says of a new or present forwarding, after all checks."""
    port = find(session, caller, Port, str(values.get("port_id", forwarding.port_id)), hold=True)
    if port.project_id != row.project_id and not caller.sees_all:
        raise not_found(Port, port.id)
    moved = port.id != forwarding.port_id
    subnet_id, address = _address(session, port, values.get("fixed_ip_address",
                                                            None if moved else forwarding.fixed_ip_address))
    if moved:
        _check_free(session, port, row, address)
    router_id = _router(session, row, port, subnet_id)
    columns = {"port_id": port.id, "fixed_ip_address": address, **_read_ports(forwarding, values),
               **{name: values[name] for name in ("protocol", "description") if name in values}}
    for name, value in columns.items():
        setattr(forwarding, name, value)
    if forwarding.protocol not in _BUILT:
        raise errors.NotImplementedHere(feature=f"Forwarding ports of the protocol {forwarding.protocol}")
    _check_collisions(session, forwarding)
    row.router_id = router_id
    row.revision += 1
    session.add(forwarding)
    session.flush()
    return forwarding


def _address(session: orm.Session, port: Port, wanted: str | None) -> tuple[str, str]:
    """Return the subnet and the address of a port that a forwarding leads to: the one named, or the first."""
    held = session.execute(
        sa.select(FixedIp.subnet_id, FixedIp.ip_address).join(Subnet, Subnet.id == FixedIp.subnet_id)
        .where(FixedIp.port_id == port.id, Subnet.ip_version == 4)
        .order_by(Subnet.created_at, FixedIp.ip_address)).tuples().all()
    if not held:
        raise _bad(f"Requested internal port {port.id} must allocate an IPv4 address at least.")
    for subnet_id, address in held:
        if wanted in (None, address):
            return subnet_id, address
    raise _bad(f"Requested internal IP address {wanted} is not suitable for internal neutron port {port.id}, as its "
               f"fixed_ips are {[address for _, address in held]}")


def _check_free(session: orm.Session, port: Port, row: FloatingIp, address: str) -> None:
    if session.scalars(sa.select(FloatingIp.id).where(FloatingIp.port_id == port.id).limit(1)).first() is not None:
        raise errors.InUse(f"Cannot create port forwarding to floating IP {row.address} ({row.id}) with port {port.id} "
                           f"using fixed IP {address}, as that port already has a binding floating IP.",
                           resource="port with a floating IP", id=port.id, reason="floating IP")


def _router(session: orm.Session, row: FloatingIp, port: Port, subnet_id: str) -> str:
    try:
        router_id = router_between(session, row.network_id, port, subnet_id)
    except errors.NotFound:
        raise _bad(f"External network {row.network_id} is not reachable from subnet {subnet_id}. Cannot set Port "
                   f"forwarding for port {port.id} with Floating IP {row.id}") from None
    if row.router_id not in (None, router_id):
        raise _bad(f"The Floating IP {row.id} had been set on router {row.router_id}, the internal Neutron port "
                   f"{port.id} can not reach it")
    return router_id


def _read_ports(forwarding: PortForwarding, values: Mapping[str, Any]) -> dict[str, int]:
    """Return the columns of both sides' ports; a range counts where one port is named as well."""
    found: dict[str, int] = {}
    for side in _SIDES:
        given = values.get(f"{side}_port_range") or values.get(f"{side}_port")
        first, last = ports_of(forwarding, side) if given is None else _parsed(side, given)
        if first is None:
            raise _bad(f"{side}_port or {side}_port_range is required.")
        found |= {f"{side}_first": first, f"{side}_last": last}
    inner = found["internal_last"] - found["internal_first"]
    if inner not in (0, found["external_last"] - found["external_first"]):
        raise _bad("Invalid ranges of internal and/or external ports. The relation between internal and external "
                   "ports must be N-N or 1-N")
    return found


def _parsed(side: str, given: int | str) -> tuple[int, int]:
    first, _, last = str(given).partition(":")
    ports = int(first), int(last or first)
    if not 1 <= ports[0] <= ports[1] <= 65535:
        raise errors.InvalidField(field=f"{side}_port_range", value=str(given),
                                  reason="Ports are 1 to 65535, the first one not above the last.")
    return ports


def _check_collisions(session: orm.Session, new: PortForwarding) -> None:
    """Raise Invalid where other forwardings use some of the ports: outside of the same floating IP, inside of the same
    port and address."""
    other = PortForwarding
    for side, same in (("external", other.floating_ip_id == new.floating_ip_id),
                       ("internal", sa.and_(other.port_id == new.port_id,
                                            other.fixed_ip_address == new.fixed_ip_address))):
        first, last = ports_of(new, side)
        with session.no_autoflush:
            found = session.scalars(sa.select(other).where(
                other.id != new.id, other.protocol == new.protocol, same, getattr(other, f"{side}_first") <= last,
                getattr(other, f"{side}_last") >= first).limit(1)).first()
        if found is not None:
            its = ports_of(found, side)
            raise _bad(f"There is a port collision with the {side}_port_range. The following ranges collide: "
                       f"{its[0]}:{its[1]} and {first}:{last}")


def _bad(reason: str) -> errors.Invalid:
    return errors.Invalid(reason=f"Bad port_forwarding request: {reason}")
