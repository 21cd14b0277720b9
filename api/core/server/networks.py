"""What administrators and others have done to a server's networks as a whole."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network import floating_ips
from api.core.network.scope import Caller, visible
from api.core.server.servers import authorised, to_change
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import FixedIp, FloatingIp, Port, Subnet
from hostler.operations.accept import Target, accept
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import Kind


def reset(services: Services, context: RequestContext, server_id: str, kind: Kind[Arguments], policy: str) -> None:
    """Have the server's host connect its ports again, with bridge, DHCP and filters; whatever works on it goes on."""

    def work(session: orm.Session) -> str:
        server = to_change(services, session, context, server_id, policy)
        return accept(session, context, kind, Target("server", server.id), Arguments(), lock=False,
                      project_id=server.project_id, host_id=server.host_id).id

    services.waker.wake(context, services.db.write(work))


def add_floating_ip(services: Services, context: RequestContext, server_id: str, address: str,
                    fixed_address: str | None) -> None:
    """Let a floating IP of the project lead to a server, or to its address `fixed_address`.

    Raises NotFound for the floating IP, Invalid when the server has no such address, or one that it cannot lead to.
    """
    server = authorised(services, context, server_id, "os_compute_api:os-floating-ips:add")
    found = _floating_ip(services, context, address)
    with services.db.reading() as session:
        held = session.execute(
            sa.select(Port.id, FixedIp.ip_address).join(FixedIp, FixedIp.port_id == Port.id)
            .join(Subnet, Subnet.id == FixedIp.subnet_id)
            .where(Port.server_id == server.id, Subnet.ip_version == 4)
            .order_by(Port.nic_index, FixedIp.ip_address)).tuples().all()
    fitting = [(port_id, fixed) for port_id, fixed in held if fixed_address in (None, fixed)]
    if not fitting:
        raise errors.Invalid(reason="No fixed IPs associated to instance" if fixed_address is None
                             else f"Specified fixed address {fixed_address} not assigned to instance.")
    port_id, fixed = fitting[0]
    try:
        floating_ips.VERBS.update(Caller.of(services, context), found.id,
                                        {"port_id": port_id, "fixed_ip_address": fixed})
    except (errors.Conflict, errors.NotFound) as error:
        raise errors.Invalid(reason=f"Unable to associate floating IP {address} to fixed IP {fixed} for instance "
                                    f"{server.id}. Error: {error}") from error


def remove_floating_ip(services: Services, context: RequestContext, server_id: str, address: str) -> None:
    """Let a floating IP that leads to a server lead nowhere; raises NotFound and Conflict when it does not."""
    server = authorised(services, context, server_id, "os_compute_api:os-floating-ips:remove")
    found = _floating_ip(services, context, address)
    with services.db.reading() as session:
        there = session.scalars(sa.select(Port.id).where(Port.id == found.port_id, Port.server_id == server.id)).first()
    if there is None:
        raise errors.Conflict(reason=f"Floating IP {address} is not associated with instance {server.id}.")
    floating_ips.VERBS.update(Caller.of(services, context), found.id, {"port_id": None})


def _floating_ip(services: Services, context: RequestContext, address: str) -> FloatingIp:
    caller = Caller.of(services, context)
    with services.db.reading() as session:
        found = session.scalars(sa.select(FloatingIp).where(
            FloatingIp.address == address, visible(caller, FloatingIp))).first()
    if found is None:
        raise errors.NotFound("floating IP not found", resource="floating_ip", id=address)
    return found
