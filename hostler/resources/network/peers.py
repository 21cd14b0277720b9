"""Where the ports of VXLAN networks are: what a host must know to send frames to other hosts without asking the wire.

The usual way is to flood and learn: every host hears the first frame to each address. Instead every host that has a
port of a network, or of one that a router joins with it, is sent where the ports are, like the members of a security
group: by port, with a revision (`networks.peers_revision`), and of large networks only what changed
(`hostler.resources.network.port_specs`). In these messages a network stands beside the groups under its key
(`hostler.resources.network.kinds`). A member is "MAC ADDRESS TUNNEL-ADDRESS", with "-" for the address of a MAC that a
port may use besides its own.

So are the hosts of a network whose DHCP one elected host serves, which must know the ports on all others: there,
TUNNEL-ADDRESS may be empty, and a fourth word is what that host serves a port, as JSON: {"id", "name", "options"}.

What is read is where the records say a server is. So a guest's frames follow it when its host is written, not before.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import FixedIp, Host, Network, Port, SecurityGroupChange, Server
from hostler.resources.network.kinds import VXLAN, key
from hostler.resources.network.router_specs import joined_networks
from hostler.resources.network.services import VIRTUAL_ROUTER

# Networks whose hosts are told.
_SERVED: Final = Network.dhcp_provider == VIRTUAL_ROUTER
TOLD: Final = sa.or_(Network.network_type == VXLAN, _SERVED)

# Built once, for every boot and delete.
_IDS: Any = sa.bindparam("ids", expanding=True)
REVISIONS: Final = sa.select(
    Network.id, Network.peers_revision.label("members_revision"),
    sa.select(Port.id).where(Port.network_id == Network.id, Port.host_id.is_not(None)).limit(1)
    .offset(sa.bindparam("small", type_=sa.Integer)).scalar_subquery().label("beyond"),
).where(Network.id.in_(_IDS))
_PEERS = (sa.select(Port.network_id, Port.id, Port.mac_address, Port.allowed_address_pairs, FixedIp.ip_address,
                    Host.tunnel_ip, Port.dns_name, Server.hostname,
                    sa.case((_SERVED, Port.extra_dhcp_opts)).label("served"))
          .join(Host, Host.id == Port.host_id).join(Network, Network.id == Port.network_id)
          .outerjoin(Server, Server.id == Port.server_id).outerjoin(FixedIp, FixedIp.port_id == Port.id)
          .where(Port.network_id.in_(_IDS), sa.or_(Host.tunnel_ip != "", Network.network_type != VXLAN)))
_PEERS_AT = _PEERS.where(Port.id.in_(sa.bindparam("ports", expanding=True)))
_OF_TOLD = (sa.select(Port.network_id, Port.id).join(Network, Network.id == Port.network_id)
            .where(TOLD).order_by(Port.network_id, Port.id))
OF_SERVER: Final = _OF_TOLD.where(Port.server_id == sa.bindparam("server"))
_OF_PORTS = _OF_TOLD.where(Port.id.in_(_IDS))
_OF_SERVED = (sa.select(Port.network_id, Port.id).join(Network, Network.id == Port.network_id)
              .where(_SERVED, Port.host_id.is_not(None), sa.bindparam("of").in_((Port.id, Port.server_id)))
              .order_by(Port.network_id, Port.id))
_ON_HOST = _OF_TOLD.where(Port.host_id == sa.bindparam("host"))
_NOTE = sa.insert(cast(sa.Table, SecurityGroupChange.__table__)).from_select(
    ["group_id", "revision", "port_id"],
    sa.select(Network.id, Network.peers_revision, Port.id).join(Port, Port.network_id == Network.id)
    .where(Network.id.in_(_IDS), Port.id.in_(sa.bindparam("ports", expanding=True))))
_HOSTS = (sa.select(Host.name).join(Port, Port.host_id == Host.id)
          .where(sa.or_(Port.network_id == sa.bindparam("network"),
                        Port.network_id.in_(joined_networks(sa.bindparam("network")))))
          .distinct().order_by(Host.name))
_HERE = sa.select(Port.network_id).where(Port.host_id == sa.bindparam("host"))
_NEEDED = (sa.select(Network.id).where(TOLD, sa.or_(
    Network.id.in_(_HERE), Network.id.in_(joined_networks(_HERE)))).order_by(Network.id))


def members(session: orm.Session, network_ids: Collection[str],
            port_ids: Collection[str] | None = None) -> dict[str, defaultdict[str, set[str]]]:
    """Return where the ports of networks are, by key and port; of `port_ids` alone, when given."""
    found: dict[str, defaultdict[str, set[str]]] = {key(network_id): defaultdict(set) for network_id in network_ids}
    if not found or port_ids is not None and not port_ids:
        return found
    asked: dict[str, Any] = {"ids": list(network_ids)}
    if port_ids is not None:
        asked["ports"] = list(port_ids)
    for row in session.execute(_PEERS if port_ids is None else _PEERS_AT, asked):
        mac = row.mac_address.lower()
        others = {pair["mac_address"].lower() for pair in row.allowed_address_pairs if pair.get("mac_address")} - {mac}
        found[key(row.network_id)][row.id].update({
            f"{mac} {row.ip_address or '-'} {row.tunnel_ip}{_served(row)}",
            *(f"{other} - {row.tunnel_ip}" for other in others)})
    return found


def _served(row: Any) -> str:
    return "" if row.served is None else " " + json.dumps(
        {"id": row.id, "name": row.dns_name or row.hostname or "", "options": row.served}, sort_keys=True)


def hosts_on(session: orm.Session, network_id: str) -> list[str]:
    """Return the names of the hosts that have a port of the network, or of one that a router joins with it."""
    return list(session.scalars(_HOSTS, {"network": network_id}))


def networks_on(session: orm.Session, host_id: str) -> list[str]:
    """Return the keys of such networks that have a port on a host, or that routers join with one that has."""
    return [key(network_id) for network_id in session.scalars(_NEEDED, {"host": host_id})]


def server_changed(session: orm.Session, server_id: str) -> list[str]:
    """Count that a server's ports are elsewhere; returns the ids of their networks whose hosts are to know."""
    return _count(session, session.execute(OF_SERVER, {"server": server_id}).tuples().all())


def ports_changed(session: orm.Session, port_ids: Collection[str]) -> list[str]:
    """Count that ports, which exist, go or have other addresses; returns the ids of their networks whose hosts are to
    know."""
    return _count(session, session.execute(_OF_PORTS, {"ids": list(port_ids)}).tuples().all()) if port_ids else []


def names_changed(session: orm.Session, of_id: str) -> list[str]:
    """Count that a port, or those of a server, have other names or DHCP options; returns the ids of their networks
    whose hosts are to know."""
    return _count(session, session.execute(_OF_SERVED, {"of": of_id}).tuples().all())


def host_changed(session: orm.Session, host_id: str) -> list[str]:
    """Count that a host is reached at another address; returns the ids of such networks that have ports on it."""
    return _count(session, session.execute(_ON_HOST, {"host": host_id}).tuples().all())


def _count(session: orm.Session, rows: Collection[tuple[str, str]]) -> list[str]:
    network_ids = _networks(rows)
    if network_ids:
        for network_id in network_ids:  # in order, so that two such transactions seldom wait for each other
            session.execute(sa.update(Network).where(Network.id == network_id).values(
                peers_revision=Network.peers_revision + 1, updated_at=Network.updated_at)
                .execution_options(synchronize_session=False))
        session.execute(_NOTE, {"ids": network_ids, "ports": [port_id for _, port_id in rows]})
    return network_ids


def _networks(rows: Iterable[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(network_id for network_id, _ in rows))
