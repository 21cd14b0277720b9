"""Routers and floating IPs as agents see them, which travel with the ports whose guests they serve.

A router of its own in the messages would need an order of its own, a place where each host keeps it, and a word when
the last guest goes. As a part of the network, it comes with the first port of its networks, in the same message, and
is ordered, kept, reconciled and forgotten as that is. It costs a router's description for each port.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.compiled import execute_built
from hostler.db.models import FixedIp, FloatingIp, Host, Port, PortForwarding, Router, RouterPort, Subnet
from hostler.resources.server.specs import FloatingIpSpec, ForwardingSpec, NetworkSpec, RouterPortSpec, RouterSpec

INTERFACE, GATEWAY, SNAT = "interface", "gateway", "snat"

# Built once: every boot, delete and reconciliation runs them.
_IDS: Any = sa.bindparam("ids", expanding=True)


def serving(network: Any) -> sa.Select[tuple[str]]:
    """Return the statement that reads the routers of networks: those of a parameter, or that of an enclosing row."""
    here = orm.aliased(Port)
    among = here.network_id.in_(network) if isinstance(network, sa.BindParameter) else here.network_id == network
    return (sa.select(RouterPort.router_id).join(here, here.id == RouterPort.port_id)
            .where(RouterPort.role == INTERFACE, among))


_LINKS = (sa.select(RouterPort.router_id, RouterPort.role, Port.id.label("port_id"), Port.network_id, Port.mac_address,
                    FixedIp.ip_address, Subnet.cidr, Subnet.ip_version, Host.name.label("host"), Router.enable_snat,
                    Host.tunnel_ip, Router.routes, Router.spec_revision, Router.distributed)
          .join(Router, Router.id == RouterPort.router_id).join(Port, Port.id == RouterPort.port_id)
          .join(FixedIp, FixedIp.port_id == Port.id).join(Subnet, Subnet.id == FixedIp.subnet_id)
          .outerjoin(Host, Host.id == RouterPort.host_id)
          .where(RouterPort.router_id.in_(serving(_IDS)), Router.admin_state_up)
          .order_by(RouterPort.router_id, Port.id, FixedIp.ip_address))
_FLOATING = (sa.select(FloatingIp.port_id, FloatingIp.address, FloatingIp.fixed_ip_address, FloatingIp.router_id)
             .where(FloatingIp.port_id.in_(_IDS), FloatingIp.router_id.is_not(None)).order_by(FloatingIp.address))
_TRANSLATED = (sa.select(FloatingIp.address, FloatingIp.fixed_ip_address, FloatingIp.router_id)
               .join(Port, Port.id == FloatingIp.port_id)
               .where(FloatingIp.router_id.in_(_IDS), Port.host_id.is_not(None)).order_by(FloatingIp.address))
_FORWARDINGS = (sa.select(FloatingIp.router_id, FloatingIp.address, PortForwarding.protocol,
                          PortForwarding.external_first, PortForwarding.external_last, PortForwarding.fixed_ip_address,
                          PortForwarding.internal_first, PortForwarding.internal_last, Host.name.label("host"))
                .join(PortForwarding, PortForwarding.floating_ip_id == FloatingIp.id)
                .join(Port, Port.id == PortForwarding.port_id).join(Host, Host.id == Port.host_id)
                .where(FloatingIp.router_id.in_(_IDS))
                .order_by(FloatingIp.address, PortForwarding.created_at, PortForwarding.id))


def joined_networks(network_ids: Any) -> Any:
    """Return the statement that reads the networks that routers join with some: one by its id, those of a statement, or
    that of an enclosing one's row."""
    here, there = orm.aliased(RouterPort), orm.aliased(RouterPort)
    port, other = orm.aliased(Port), orm.aliased(Port)
    among = port.network_id.in_(network_ids) if isinstance(network_ids, sa.Select) else port.network_id == network_ids
    return (sa.select(other.network_id).join(there, there.port_id == other.id)
            .join(here, here.router_id == there.router_id).join(port, port.id == here.port_id)
            .where(here.role == INTERFACE, there.role == INTERFACE, among))


def router_links(session: orm.Session, network_ids: Collection[str]) -> Sequence[Any]:
    """Return a row for each address of the ports of every router that serves one of the networks."""
    return execute_built(session, _LINKS, {"ids": list(network_ids)}).all() if network_ids else ()


def routers_to(session: orm.Session, network_id: str) -> tuple[list[str], list[str]]:
    """Return the ids of the routers that lead to a network, and of the networks that they join."""
    routers = session.scalars(sa.select(RouterPort.router_id).distinct().join(Port, Port.id == RouterPort.port_id)
                              .where(Port.network_id == network_id, RouterPort.role != SNAT)).all()
    joined = sa.select(Port.network_id).distinct().join(RouterPort, RouterPort.port_id == Port.id)
    beside = session.scalars(joined.where(
        RouterPort.router_id.in_(routers), RouterPort.role == INTERFACE)).all() if routers else ()
    return list(routers), list(beside)


def router_specs(session: orm.Session, links: Sequence[Any], networks: Mapping[str, NetworkSpec]) -> list[RouterSpec]:
    """Return the routers that `links` are of."""
    by_router: defaultdict[str, list[Any]] = defaultdict(list)
    for link in links:
        by_router[link.router_id].append(link)
    forwardings = _forwardings(session, by_router)
    found = [dataclasses.replace(_router(router_id, rows, networks), forwardings=tuple(forwardings[router_id]))
             for router_id, rows in by_router.items()]
    elected = [router.id for router in found if router.elected]
    if not elected:
        return found
    floating = [FloatingIpSpec(**row) for row in session.execute(_TRANSLATED, {"ids": elected}).mappings()]
    return [_at_one_host(router, floating) if router.elected else router for router in found]


def _at_one_host(router: RouterSpec, floating: Sequence[FloatingIpSpec]) -> RouterSpec:
    host = str(router.elected and router.elected["host"])
    return dataclasses.replace(
        router, floating=tuple(one for one in floating if one.router_id == router.id),
        forwardings=tuple(dataclasses.replace(one, entry=host, host=host) for one in router.forwardings))


def _forwardings(session: orm.Session, router_ids: Collection[str]) -> defaultdict[str, list[ForwardingSpec]]:
    """Return the port forwardings to guests that are on hosts, by router id.

    The naive way has the address at each guest's host; but it can be at one place alone. So it is where the oldest
    forwarding's guest is, and follows that guest.
    """
    found: defaultdict[str, list[ForwardingSpec]] = defaultdict(list)
    entries: dict[str, str] = {}
    for row in session.execute(_FORWARDINGS, {"ids": list(router_ids)}) if router_ids else ():
        found[row.router_id].append(ForwardingSpec(
            address=row.address, entry=entries.setdefault(row.address, row.host), host=row.host, protocol=row.protocol,
            external=(row.external_first, row.external_last), fixed_ip_address=row.fixed_ip_address,
            internal=(row.internal_first, row.internal_last)))
    return found


def floating_ips(session: orm.Session, port_ids: Collection[str]) -> dict[str, tuple[FloatingIpSpec, ...]]:
    """Return the floating IPs of ports that have some, by port id."""
    found: defaultdict[str, list[FloatingIpSpec]] = defaultdict(list)
    for row in session.execute(_FLOATING, {"ids": list(port_ids)}):
        found[row.port_id].append(FloatingIpSpec(address=row.address, fixed_ip_address=row.fixed_ip_address,
                                                 router_id=row.router_id))
    return {port_id: tuple(specs) for port_id, specs in found.items()}


def _router(router_id: str, rows: Sequence[Any], networks: Mapping[str, NetworkSpec]) -> RouterSpec:
    ports: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        ports[row.port_id].append(row)
    links = {role: [_port(same, networks) for same in ports.values() if same[0].role == role]
             for role in (INTERFACE, GATEWAY)}
    return RouterSpec(
        id=router_id, revision=rows[0].spec_revision, interfaces=tuple(links[INTERFACE]),
        gateway=links[GATEWAY][0] if links[GATEWAY] else None, snat=rows[0].enable_snat, routes=tuple(rows[0].routes),
        elected=None if rows[0].distributed else next((
            {"host": row.host, "tunnel_ip": row.tunnel_ip} for row in rows
            if row.role == GATEWAY and row.host is not None), {}),
        outside={row.host: {"mac": row.mac_address, "address": _with_prefix(row)}
                 for row in rows if row.host is not None and row.ip_version == 4})


def _port(rows: Sequence[Any], networks: Mapping[str, NetworkSpec]) -> RouterPortSpec:
    return RouterPortSpec(id=rows[0].port_id, mac_address=rows[0].mac_address, network=networks[rows[0].network_id],
                          addresses=tuple(_with_prefix(row) for row in rows))


def _with_prefix(row: Any) -> str:
    return f"{row.ip_address}/{row.cidr.partition('/')[2]}"
