"""Which host leads outside for a router with an elected host (`Router.distributed` is false).

The gateway's port names the host (`RouterPort.host_id`), which has the gateway's address. The host's lease is its
reports: they are written by the database's clock, and who was silent for `service_down_time` has lost it; or sooner, if
the hosts that watch it say so (`conductor.silent_leaders`). Only hosts with guests of the router are elected, because
only they hear of it. The port's row is changed by compare-and-set, so two conductors elect one host.

Whether an election is due is read off the rows (`due`), so nothing is kept that a crash could lose.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.models import Host, Network, Port, Router, RouterPort
from hostler.db.moments import now
from hostler.resources import revisions
from hostler.resources.network import host_updates, kinds, reach, routers
from hostler.resources.network.router_specs import GATEWAY, INTERFACE, SNAT

LOG = logging.getLogger(__name__)

_DOWN: Any = sa.bindparam("down_s", type_=sa.Float)
_ALIVE = sa.and_(~Host.forced_down, Host.last_seen_at > now(-_DOWN))


def _serving(router_id: Any) -> Any:
    """Return the select of the hosts with guests on a router's networks."""
    joined, inner, guest = orm.aliased(RouterPort), orm.aliased(Port), orm.aliased(Port)
    return (sa.select(guest.host_id).join(inner, inner.network_id == guest.network_id)
            .join(joined, joined.port_id == inner.id)
            .where(joined.router_id == router_id, joined.role == INTERFACE, guest.host_id.is_not(None)))


# Built once: every conductor looks each second.
_SERVING_EACH = _serving(Router.id).correlate(Router)
_DUE = (sa.select(Router.id).join(RouterPort, RouterPort.router_id == Router.id)
        .outerjoin(Host, Host.id == RouterPort.host_id)
        .where(RouterPort.role == GATEWAY, ~Router.distributed, sa.or_(
            sa.and_(RouterPort.host_id.is_(None), sa.exists(_SERVING_EACH)),
            sa.and_(RouterPort.host_id.is_not(None), sa.or_(~_ALIVE, RouterPort.host_id.not_in(_SERVING_EACH)))))
        .order_by(Router.id))
_LED = (sa.select(sa.func.count()).select_from(RouterPort).join(Router, Router.id == RouterPort.router_id)
        .where(RouterPort.role == GATEWAY, ~Router.distributed, RouterPort.host_id == Host.id).scalar_subquery())
_CANDIDATES = (sa.select(Host.id, Host.traits)
               .where(Host.id.in_(_serving(sa.bindparam("router"))), _ALIVE).order_by(_LED, Host.number))
_CROSSED = (sa.select(Network.network_type, Network.physical_network).distinct()
            .join(Port, Port.network_id == Network.id).join(RouterPort, RouterPort.port_id == Port.id)
            .where(RouterPort.router_id == sa.bindparam("router")))


def due(session: orm.Session, down_s: float) -> list[str]:
    """Return the ids of the routers for which another host than the present one, or none, should lead outside."""
    return [router_id for router_id in session.scalars(_DUE, {"down_s": down_s})
            if choose(session, router_id, down_s) != leader(session, router_id)]


def leader(session: orm.Session, router_id: str) -> str | None:
    """Return the id of the host that has the router's gateway."""
    return session.scalar(sa.select(RouterPort.host_id).where(
        RouterPort.router_id == router_id, RouterPort.role == GATEWAY))


def silent_leader(session: orm.Session, router_id: str, down_s: float) -> str | None:
    """Return the name of the host that has the gateway, if nothing speaks against it but that it does not report."""
    return session.scalar(sa.select(Host.name).join(RouterPort, RouterPort.host_id == Host.id).where(
        RouterPort.router_id == router_id, RouterPort.role == GATEWAY, ~Host.forced_down, ~_ALIVE,
        Host.id.in_(_serving(router_id))), {"down_s": down_s})


def led_by(session: orm.Session, name: str) -> tuple[list[str], set[str]]:
    """Return the ids of the routers that a host leads outside for, and the names of the other hosts with guests of
    theirs, which watch it."""
    router_ids = session.scalars(
        sa.select(Router.id).join(RouterPort, RouterPort.router_id == Router.id)
        .join(Host, Host.id == RouterPort.host_id)
        .where(RouterPort.role == GATEWAY, ~Router.distributed, Host.name == name).order_by(Router.id)).all()
    if not router_ids:
        return [], set()
    guests = sa.exists().where(Router.id.in_(router_ids), Host.id.in_(_serving(Router.id).correlate(Router)))
    return list(router_ids), set(session.scalars(sa.select(Host.name).where(Host.name != name, guests)))


def candidates(session: orm.Session, router_id: str, down_s: float) -> Sequence[str]:
    """Return the hosts that are up, have guests of the router, and reach all its networks; who leads least first."""
    needed = reach.of_networks(session.execute(_CROSSED, {"router": router_id}).tuples())
    return [host_id for host_id, traits in session.execute(
        _CANDIDATES, {"router": router_id, "down_s": down_s}).tuples()
        if kinds.REPORTED not in traits or needed <= set(traits)]


def choose(session: orm.Session, router_id: str, down_s: float, avoid: str | None = None,
           among: Collection[str] = ()) -> str | None:
    """Return the host that should lead: the present one as long as it can, and is not to be avoided; or else one of
    `among`, if possible."""
    present, able = leader(session, router_id), candidates(session, router_id, down_s)
    if present in able and present != avoid:
        return present
    others = sorted((host_id for host_id in able if host_id != avoid), key=lambda host_id: host_id not in among)
    if others or able:
        return (others or able)[0]
    # A silent host without a successor may come back.
    return present if present in session.scalars(_serving(router_id)).all() else None


def elect(session: orm.Session, context: RequestContext, router_id: str, host_id: str | None) -> list[str]:
    """Have a host, or none, lead outside for a router, and tell the hosts: it first, the one that did so far last.

    Returns the operations to wake after the commit; none when somebody else was faster.
    """
    present = leader(session, router_id)
    moved: Any = session.execute(
        sa.update(RouterPort).where(RouterPort.router_id == router_id, RouterPort.role == GATEWAY,
                                    RouterPort.host_id == present if present else RouterPort.host_id.is_(None))
        .values(host_id=host_id).execution_options(synchronize_session=False))
    if not moved.rowcount:
        return []
    LOG.info("Router %s: host %s leads outside instead of host %s", router_id, host_id, present)
    return tell(session, context, router_id, leaving=present)


def swap(session: orm.Session, context: RequestContext, router: Router, down_s: float, *,
         distributed: bool) -> list[str]:
    """Have each host lead outside for its own guests, or one for all; returns the operations to wake.

    The gateway's address stays where it is, if that host can lead, and so do all floating IPs for those outside.
    """
    router.distributed = distributed
    session.flush()
    if distributed:
        networks = routers.networks_of(session, router.id)
        for host_id in session.scalars(_serving(router.id).distinct()).all():
            routers.take_addresses(session, host_id, networks)
        return tell(session, context, router.id)
    routers.remove_ports(session, session.scalars(sa.select(RouterPort.port_id).where(
        RouterPort.router_id == router.id, RouterPort.role == SNAT)).all())
    return elect(session, context, router.id, choose(session, router.id, down_s))


def tell(session: orm.Session, context: RequestContext, router_id: str, leaving: str | None = None) -> list[str]:
    """Make the hosts follow a router's rows in the order that interrupts nothing."""
    revisions.routers_changed(session, [router_id])
    name = session.scalar(sa.select(Host.name).where(Host.id == leaving)) if leaving else None
    return host_updates.tell_router(session, context, router_id, routers.networks_of(session, router_id), name)
