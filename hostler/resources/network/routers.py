"""What follows on hosts from a router: who must learn about it, and which address each host sends from.

Guests without a floating IP reach the outside from an address of the external network. With one address for the whole
router, answers would reach one host alone, so traffic of all others would have to pass there: a network node. Here each
host that has guests of a router sends them out itself, from an address that is its own: the first host from the
router's gateway address, which is all that a small cloud needs, each other one from an address it takes when its first
guest comes. It costs an address of the external network for each further host.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import exc, orm

from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.models import FixedIp, FloatingIp, Port, PortForwarding, PortSecurityGroup, Router, RouterPort, Subnet
from hostler.resources import revisions
from hostler.resources.network import host_updates, ipam, place_ports
from hostler.resources.network.router_specs import GATEWAY, INTERFACE, SNAT

LOG = logging.getLogger(__name__)

AGENT_OWNER = "network:floatingip_agent_gateway"
_QUIET = {"synchronize_session": False}

# Built once: every boot runs it.
_INSIDE, _THERE = orm.aliased(RouterPort), orm.aliased(RouterPort)
_MISSING = (
    sa.select(RouterPort.router_id, RouterPort.port_id, Port.network_id, Port.project_id)
    .join(Port, Port.id == RouterPort.port_id).join(Router, Router.id == RouterPort.router_id)
    .where(RouterPort.role == GATEWAY, Router.distributed,
           ~sa.exists().where(_THERE.router_id == RouterPort.router_id, _THERE.host_id == sa.bindparam("host"))))


def _serving(networks: Any) -> Any:
    inner = orm.aliased(Port)
    return _MISSING.where(RouterPort.router_id.in_(
        sa.select(_INSIDE.router_id).join(inner, inner.id == _INSIDE.port_id)
        .where(_INSIDE.role == INTERFACE, inner.network_id.in_(networks))))


_CLEAR = sa.update(cast(sa.Table, FloatingIp.__table__)).values(
    port_id=None, fixed_ip_address=None, router_id=None, revision=FloatingIp.revision + 1,
    updated_at=sa.bindparam("moment"))
FORGET_PORTS: Final = _CLEAR.where(FloatingIp.port_id.in_(sa.bindparam("ids", expanding=True)))
_GUEST = orm.aliased(Port)
# With an elected host, floating IPs are translated there, wherever their guests are.
_LEADING_TO = (sa.select(FloatingIp.router_id).distinct().join(Router, Router.id == FloatingIp.router_id)
               .outerjoin(PortForwarding, PortForwarding.floating_ip_id == FloatingIp.id)
               .join(Port, sa.or_(Port.id == PortForwarding.port_id,
                                  sa.and_(~Router.distributed, Port.id == FloatingIp.port_id))))
LEADING_TO_SERVER: Final = _LEADING_TO.where(Port.server_id == sa.bindparam("server"))
_LEADING_TO_PORTS = _LEADING_TO.where(Port.id.in_(sa.bindparam("ids", expanding=True)))
_MISSING_BY_NETWORKS = _serving(sa.bindparam("networks", expanding=True))
MISSING_BY_SERVER: Final = _serving(sa.select(_GUEST.network_id).where(_GUEST.server_id == sa.bindparam("server")))


def notify_of_router(session: orm.Session, context: RequestContext, router_id: str,
                     network_ids: Collection[str] = ()) -> list[str]:
    """Make hosts with guests on the router's networks, and on `network_ids` that it has left, follow its rows.

    Returns the ids of the operations to wake after the commit.
    """
    own = networks_of(session, router_id)
    networks = {*own, *network_ids}
    if not session.scalar(sa.select(Router.distributed).where(Router.id == router_id)):
        revisions.routers_changed(session, [router_id])
        return [*host_updates.tell_router(session, context, router_id, own),
                *host_updates.tell_networks(session, context, networks.difference(own))]
    for host_id in session.scalars(sa.select(Port.host_id).distinct().where(
            Port.network_id.in_(networks), Port.host_id.is_not(None))).all():
        take_addresses(session, str(host_id), networks)
    revisions.routers_changed(session, [router_id])
    return host_updates.tell_networks(session, context, networks)


def networks_of(session: orm.Session, router_id: str) -> list[str]:
    """Return the ids of the networks that a router joins."""
    return list(session.scalars(sa.select(Port.network_id).distinct().join(RouterPort, RouterPort.port_id == Port.id)
                                .where(RouterPort.router_id == router_id, RouterPort.role == INTERFACE)))


def take_addresses(session: orm.Session, host_id: str, network_ids: Collection[str]) -> None:
    """Give a host with guests on the networks an external address for each router that serves them.

    Where the external network has none left, those guests reach the outside by floating IPs alone.
    """
    _take_all(session, host_id, session.execute(
        _MISSING_BY_NETWORKS, {"networks": list(network_ids), "host": host_id}).all())


def take_addresses_for(session: orm.Session, host_id: str, server_id: str) -> None:
    """As `take_addresses`, for the networks of a server."""
    _take_all(session, host_id, session.execute(MISSING_BY_SERVER, {"server": server_id, "host": host_id}).all())


def _take_all(session: orm.Session, host_id: str, routers: Sequence[Any]) -> None:
    for router in routers:
        _give_back(session, router.router_id)
        try:
            with session.begin_nested():
                _take(session, router, host_id)
        except exc.IntegrityError:
            LOG.info("Router %s has got its address for host %s from another operation", router.router_id, host_id)
        except errors.NoAddress:
            LOG.warning("No address of external network %s is left for router %s on host %s: its guests there reach "
                        "the outside by floating IPs alone", router.network_id, router.router_id, host_id)
        else:
            revisions.routers_changed(session, [router.router_id])


def forget_ports(session: orm.Session, port_ids: Collection[str]) -> None:
    """Let floating IPs lead nowhere whose ports are about to go."""
    session.execute(FORGET_PORTS, {"ids": list(port_ids), "moment": clock.utcnow()})


def stop_forwarding(session: orm.Session, port_ids: Collection[str]) -> None:
    """Delete the port forwardings to ports that are about to go."""
    _stop_forwarding(session, PortForwarding.port_id.in_(port_ids))


def forget_addresses(session: orm.Session, port_id: str) -> None:
    """As `forget_ports` and `stop_forwarding`, for the addresses that a port does not have any more."""
    held = sa.select(FixedIp.ip_address).where(FixedIp.port_id == port_id)
    _clear(session, sa.and_(FloatingIp.port_id == port_id, FloatingIp.fixed_ip_address.not_in(held)))
    _stop_forwarding(session, sa.and_(PortForwarding.port_id == port_id, PortForwarding.fixed_ip_address.not_in(held)))


def routers_forwarding(session: orm.Session, *, server_id: str | None = None,
                       port_ids: Collection[str] = ()) -> list[str]:
    """Return the ids of the routers that may lead to a server, or to some of its ports, from another host: by
    forwardings, or by floating IPs at an elected host."""
    found = (session.scalars(_LEADING_TO_PORTS, {"ids": list(port_ids)}) if server_id is None
             else session.scalars(LEADING_TO_SERVER, {"server": server_id}))
    return [str(router_id) for router_id in found]


def notify_of_forwarders(session: orm.Session, context: RequestContext | None,
                         router_ids: Collection[str]) -> list[str]:
    """Make hosts follow routers whose forwardings lead to other hosts now; without `context` they are told later."""
    if context is None:
        revisions.routers_changed(session, router_ids)
        return []
    return [operation_id for router_id in router_ids
            for operation_id in notify_of_router(session, context, router_id)]


def notify_of_elected(session: orm.Session, context: RequestContext, router_ids: Collection[str | None]) -> list[str]:
    """Make hosts follow those of some routers whose floating IPs an elected host translates."""
    elected = session.scalars(sa.select(Router.id).where(Router.id.in_([one for one in router_ids if one is not None]),
                                                         ~Router.distributed).order_by(Router.id)).all()
    return [operation_id for router_id in elected for operation_id in notify_of_router(session, context, router_id)]


def remove_ports(session: orm.Session, port_ids: Collection[str]) -> None:
    """Delete ports that are routers' or hold floating IPs."""
    for model, column in ((RouterPort, RouterPort.port_id), (FixedIp, FixedIp.port_id),
                          (PortSecurityGroup, PortSecurityGroup.port_id), (Port, Port.id)):
        session.execute(sa.delete(model).where(column.in_(port_ids)).execution_options(**_QUIET))


def _stop_forwarding(session: orm.Session, which: Any) -> None:
    session.execute(sa.delete(PortForwarding).where(which).execution_options(**_QUIET))
    _clear(session, sa.and_(FloatingIp.router_id.is_not(None), FloatingIp.port_id.is_(None),
                            ~sa.exists().where(PortForwarding.floating_ip_id == FloatingIp.id)))


def _clear(session: orm.Session, which: Any) -> None:
    session.execute(_CLEAR.where(which), {"moment": clock.utcnow()})


def _give_back(session: orm.Session, router_id: str) -> None:
    """Take external addresses from hosts that have no guest of the router any more."""
    serving = sa.select(Port.host_id).where(Port.network_id.in_(networks_of(session, router_id)),
                                            Port.host_id.is_not(None))
    idle = (RouterPort.router_id == router_id, RouterPort.host_id.not_in(serving))
    remove_ports(session, session.scalars(sa.select(RouterPort.port_id).where(*idle, RouterPort.role == SNAT)).all())
    session.execute(sa.update(RouterPort).where(*idle).values(host_id=None).execution_options(**_QUIET))


def _new_mac() -> str:
    # 0x0e: locally administered, unicast; apart from the prefixes that guests get.
    return ":".join(["0e", *(ids.bare(ids.new_id())[at:at + 2] for at in range(0, 10, 2))])


def _take(session: orm.Session, router: Any, host_id: str) -> None:
    taken = session.execute(
        sa.update(RouterPort).where(RouterPort.port_id == router.port_id, RouterPort.host_id.is_(None))
        .values(host_id=host_id).execution_options(**_QUIET))
    if taken.rowcount == 1:  # type: ignore[attr-defined]
        return
    subnets = tuple(session.scalars(sa.select(Subnet).where(Subnet.network_id == router.network_id,
                                                            Subnet.ip_version == 4).order_by(Subnet.created_at)))
    if not subnets:  # nothing is translated in IPv6
        return
    port = Port(id=ids.new_id(), network_id=router.network_id, project_id=router.project_id, device_id=router.router_id,
                device_owner=AGENT_OWNER, mac_address=_new_mac(), status="ACTIVE",
                port_security_enabled=False)
    session.add(port)
    session.flush()
    session.add(RouterPort(port_id=port.id, router_id=router.router_id, role=SNAT, host_id=host_id))
    place_ports.give_addresses(session, port, [ipam.AddressRequest(subnets)])
