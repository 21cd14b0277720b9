"""NICs of existing servers: attach and detach, and further addresses on them.

The server's row is held first. Attaching and detaching are done when the request is answered, or soon after it.
"""

from __future__ import annotations

import copy
import dataclasses

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.port_rules import check_not_led_to
from api.core.outcomes import follow, in_turn
from api.core.server.servers import check_idle, to_change
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import FixedIp, Network, Port, Server, Subnet
from hostler.operations import journal
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.kind import Kind
from hostler.resources.network import (
    autoconf,
    host_updates,
    ipam,
    place_ports,
    ports,
    routers,
    security_groups,
    sharing,
)
from hostler.resources.server.status import check_may_start

_POLICY = "os_compute_api:os-attach-interfaces:"


def attach(services: Services, context: RequestContext, server_id: str,
           wanted: ports.NetworkRequest) -> tuple[Port, list[FixedIp]]:
    """Give a server a NIC: a port of its project's, or a new one; with neither, on its only network.

    Raises NotFound, InvalidState, ResourceLocked, Invalid for what can never work, Conflict for a port or an address in
    use and for a host that could not plug it, QuotaExceeded.
    """
    def work(session: orm.Session) -> tuple[str, str]:
        server = to_change(services, session, context, server_id, _POLICY + "create")
        check_idle(session, server, "attach_interface")
        check_may_start(kinds.ATTACH_INTERFACE, server.id, server.vm_state, said_as="attach_interface")
        _check_there(session, context, server, wanted)
        port = _bind(services, session, context, server, wanted)
        # From now on its host hears of changes of the port, as for the server's other ports.
        port.host_id, port.status = server.host_id, "BUILD" if server.host_id is not None else "DOWN"
        session.flush()
        if port.host_id is not None:
            routers.take_addresses(session, port.host_id, [port.network_id])
        return port.id, _accept(session, context, kinds.ATTACH_INTERFACE, server, port.id)

    port_id, operation_id = in_turn(services, work)
    follow(services, context, operation_id, services.conf.api.operation_wait)
    with services.db.reading() as session:
        found = session.get_one(Port, port_id)
        return found, list(session.scalars(sa.select(FixedIp).where(FixedIp.port_id == port_id)
                                           .order_by(FixedIp.ip_address)))


def detach(services: Services, context: RequestContext, server_id: str, port_id: str) -> None:
    """Take a NIC from a server; raises NotFound, InvalidState, ResourceLocked, Conflict when the guest keeps it."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, _POLICY + "delete")
        port = session.scalars(sa.select(Port).where(
            Port.id == (ids.canonical(port_id) or ""), Port.server_id == server.id)).one_or_none()
        if port is None:
            raise _no_port(port_id)
        check_idle(session, server, "detach_interface")
        check_may_start(kinds.DETACH_INTERFACE, server.id, server.vm_state, said_as="detach_interface")
        return _accept(session, context, kinds.DETACH_INTERFACE, server, port.id)

    follow(services, context, in_turn(services, work), services.conf.api.operation_wait)


def add_fixed_ip(services: Services, context: RequestContext, server_id: str, network_id: str) -> None:
    """Give a server's NIC on a network one more address; raises NotFound when it has none there."""

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, "os_compute_api:os-multinic:add")
        port = session.scalars(sa.select(Port).where(
            Port.server_id == server.id, Port.network_id == (ids.canonical(network_id) or ""))
            .order_by(Port.nic_index).limit(1)).one_or_none()
        if port is None:
            raise errors.NotFound(f"Network {network_id} could not be found for instance {server.id}.",
                                  resource="network", id=network_id)
        subnets = [subnet for subnet in session.scalars(
            sa.select(Subnet).where(Subnet.network_id == port.network_id)
            .order_by(Subnet.ip_version, Subnet.created_at, Subnet.id)) if not autoconf.is_automatic(subnet)]
        if not subnets:
            raise errors.Invalid(reason=f"Network {network_id} has no subnet.")
        first = tuple(subnet for subnet in subnets if subnet.ip_version == subnets[0].ip_version)
        try:
            place_ports.give_addresses(session, port, [ipam.AddressRequest(first)])
        except errors.NoAddress as error:
            raise errors.Invalid(reason=error.details) from error
        journal.note(session, context, kinds.ADD_FIXED_IP, server)
        return _addresses_changed(session, context, port)

    services.waker.wake(context, *services.db.write(work))


def remove_fixed_ip(services: Services, context: RequestContext, server_id: str, address: str) -> None:
    """Take an address from a server's NIC; raises Invalid when it has no such address."""

    def work(session: orm.Session) -> list[str]:
        server = to_change(services, session, context, server_id, "os_compute_api:os-multinic:remove")
        found = session.execute(sa.select(FixedIp, Port).join(Port, Port.id == FixedIp.port_id).where(
            Port.server_id == server.id, FixedIp.ip_address == address).limit(1)).one_or_none()
        if found is None:
            raise errors.Invalid(reason=f"Instance {server.id} does not have fixed IP '{address}'.")
        row, port = found
        check_not_led_to(session, port.id, [row.ip_address])
        session.delete(row)
        session.flush()
        routers.forget_addresses(session, port.id)
        journal.note(session, context, kinds.REMOVE_FIXED_IP, server)
        return _addresses_changed(session, context, port)

    services.waker.wake(context, *services.db.write(work))


def _check_there(session: orm.Session, context: RequestContext, server: Server, wanted: ports.NetworkRequest) -> None:
    """Raise NotFound for a port or network the caller cannot see, Invalid for a port of another project's."""
    if wanted.port_id is not None:
        owner = session.scalar(sa.select(Port.project_id).where(Port.id == wanted.port_id))
        if owner is None or not (context.is_admin or owner == context.project_id):
            raise _no_port(wanted.port_id)
        if owner != server.project_id:
            raise errors.Invalid(reason=f"Port {wanted.port_id} not usable for instance {server.id}.")
    elif wanted.network_id is not None:
        usable = sa.or_(Network.project_id == context.project_id, sharing.external_to(context.project_id),
                        sharing.shared_with(Network.id, context.project_id))
        if session.scalar(sa.select(Network.id).where(
                Network.id == wanted.network_id, sa.true() if context.is_admin else usable)) is None:
            raise errors.NotFound(f"Network {wanted.network_id} could not be found.", resource="network",
                                  id=wanted.network_id)


def _bind(services: Services, session: orm.Session, context: RequestContext, server: Server,
          wanted: ports.NetworkRequest) -> Port:
    # An administrator's new port is the server's project's.
    owner = copy.copy(context)
    owner.project_id = server.project_id
    last = session.scalar(sa.select(sa.func.max(Port.nic_index)).where(Port.server_id == server.id))
    if wanted.port_id is None and wanted.network_id is None:
        wanted = dataclasses.replace(wanted, network_id=_only_network(session, server.project_id))
    try:
        [port] = ports.bind_ports(
            services.db, session, services.conf, owner, server_id=server.id, hostname=server.hostname,
            requests=[wanted], security_groups=("default",), first_index=0 if last is None else last + 1)
    except errors.NoAddress as error:
        raise errors.Invalid(reason=error.details) from error
    return port


def _only_network(session: orm.Session, project_id: str) -> str:
    try:
        return ports.automatic_network(session, project_id)
    except errors.Conflict as error:
        raise errors.Invalid(reason=str(error)) from error


def _accept(session: orm.Session, context: RequestContext, kind: Kind[kinds.ServerPort], server: Server,
            port_id: str) -> str:
    return accept(session, context, kind, Target("server", server.id), kinds.ServerPort(port_id=port_id),
                  project_id=server.project_id, host_id=server.host_id).id


def _addresses_changed(session: orm.Session, context: RequestContext, port: Port) -> list[str]:
    """Tell the hosts: the port's own (its filters, DHCP and metadata), and those whose rules admit its addresses."""
    port.revision += 1
    session.flush()
    told = host_updates.notify_of_port(session, context, port)
    if port.host_id is not None:
        told += host_updates.notify_of_network(session, context, port.network_id)
    groups = security_groups.groups_of(session, [port.id])
    return told + security_groups.notify_hosts(session, context, groups, rules_changed=False,
                                                port_ids=[port.id])


def _no_port(port_id: str) -> errors.NotFound:
    return errors.NotFound(f"Port id {port_id} could not be found.", resource="port", id=port_id)
