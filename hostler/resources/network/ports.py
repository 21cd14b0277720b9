"""The ports of a server: created or claimed with it, bound to its host, released when it is deleted.

The compute verbs call `bind_ports` in the transaction that writes the server; the conductor's flows call the rest.
Ports made here go with their server; a port the user made is given back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.compiled import execute_built, execute_compiled
from hostler.db.engine import Database
from hostler.db.models import FixedIp, FloatingIp, Network, Port, PortForwarding, PortSecurityGroup, Subnet
from hostler.resources import quota, revisions
from hostler.resources.network import (
    host_updates,
    ipam,
    peers,
    place_ports,
    routers,
    security_groups,
    sharing,
)

COMPUTE_OWNER = "compute:nova"

# Built once, for every boot and delete. What they change was not loaded by the session that runs them.
_PORTS = cast(sa.Table, Port.__table__)
_IDS: Any = sa.bindparam("ids", expanding=True)
_AUTOMATIC = sa.select(Network, Subnet, security_groups.DEFAULT_ID).join(Subnet, Subnet.network_id == Network.id).where(
    sa.or_(Network.project_id == sa.bindparam("project"), sharing.shared_with(Network.id, sa.bindparam("project"))),
    sa.not_(Network.external)).order_by(Subnet.created_at, Subnet.id)
_SUBNETS = sa.select(Subnet).where(Subnet.network_id.in_(_IDS)).order_by(Subnet.created_at, Subnet.id)
_QUIET = {"synchronize_session": False}
_WITH_GROUPS = (sa.select(Port.id, Port.server_id, Port.owned_by_server, PortSecurityGroup.group_id,
                          peers.TOLD.label("is_told"),
                          sa.or_(sa.exists().where(FloatingIp.port_id == Port.id),
                                 sa.exists().where(PortForwarding.port_id == Port.id)).label("is_led_to"))
                .join(Network, Network.id == Port.network_id)
                .outerjoin(PortSecurityGroup, PortSecurityGroup.port_id == Port.id))
_RELEASED = _WITH_GROUPS.where(Port.server_id == sa.bindparam("server"))
_RELEASED_ONE = _WITH_GROUPS.where(Port.id == sa.bindparam("port"), Port.server_id.is_not(None))
_MOVE = (sa.update(_PORTS).where(_PORTS.c.server_id == sa.bindparam("server"))
         .values(host_id=sa.bindparam("host"), status=sa.bindparam("new_status"), revision=_PORTS.c.revision + 1,
                 updated_at=sa.bindparam("moment")))
# What few servers' ports have, asked at once; none of it depends on where they are.
_FOLLOWS = sa.select(peers.OF_SERVER.exists().label("peers"), routers.MISSING_BY_SERVER.exists().label("routers"),
                     routers.LEADING_TO_SERVER.exists().label("forwarders"),
                     security_groups.ARRIVED_IN.exists().label("members"))
_MOVED = _MOVE.returning(_PORTS.c.id).cte("moved")
_MOVE_AND_ASK = _FOLLOWS.add_columns(sa.select(sa.func.count()).select_from(_MOVED).scalar_subquery().label("moved"))
_REMOVE = (routers.FORGET_PORTS, *(
    sa.delete(cast(sa.Table, model.__table__)).where(column.in_(_IDS)) for model, column in (
        (PortSecurityGroup, PortSecurityGroup.port_id), (FixedIp, FixedIp.port_id), (Port, Port.id))))


@dataclasses.dataclass(frozen=True)
class NetworkRequest:
    """One NIC asked for: a port of the user's, or a new port on a network, with an address when one is named."""

    network_id: str | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


@dataclasses.dataclass(frozen=True)
class NewServer:
    """A server that wants NICs; its row is written already."""

    id: str
    hostname: str = ""


Requests = Sequence[NetworkRequest] | Literal["any", "auto", "none"]


def bind_ports(db: Database, session: orm.Session, conf: cfg.ConfigOpts, context: RequestContext, *, server_id: str,
               hostname: str, requests: Requests, security_groups: Sequence[str], first_index: int = 0) -> list[Port]:
    """Give one server its NICs, in the caller's transaction; see `bind_ports_many`."""
    servers = [NewServer(server_id, hostname)]
    return bind_ports_many(db, session, conf, context, servers=servers, requests=requests,
                           security_groups=security_groups, first_index=first_index)[server_id]


def bind_ports_many(db: Database, session: orm.Session, conf: cfg.ConfigOpts, context: RequestContext, *,
                    servers: Sequence[NewServer], requests: Requests, security_groups: Sequence[str],
                    first_index: int = 0, held: quota.Held | None = None,
                    allocate: Callable[[], Network] | None = None) -> dict[str, list[Port]]:
    """Give each server the NICs that `requests` names, in order, and return them by server id.

    "any" is the only network the project may use, or its default one; so is "auto", for which `allocate` makes one when
    there is none; "none" gives nothing. The number of statements does not grow with the number of servers.
    `first_index` numbers the first NIC (hot plug); `held` is the project, when the caller holds its row and has added
    no port since.
    Raises Invalid for a network, port or group that is not there, Conflict for a port or address in use and for
    an "auto" that is ambiguous, NoAddress, QuotaExceeded.
    """
    if requests == "none" or (not isinstance(requests, str) and not requests):
        return {server.id: [] for server in servers}
    project_id = str(context.project_id)
    if isinstance(requests, str):
        def allocated() -> Network:
            nonlocal held
            held = None  # the network's own ports are not counted there
            assert allocate is not None
            return allocate()

        automatic = _automatic(session, project_id, allocated if requests == "auto" and allocate else None)
        requests = [NetworkRequest(network_id=automatic[0].id)]
    else:
        automatic = None
    _check_repeatable(requests, len(servers))
    taken = _take_ports(session, context, servers, requests, first_index)
    new = [(index, request) for index, request in enumerate(requests) if request.port_id is None]
    drafts = _drafts(session, context, servers, new, security_groups, first_index, automatic)
    if drafts:
        wanted = {"ports": len(drafts)}
        if held is None:
            quota.claim(db, session, conf, project_id, wanted)
        else:
            held.check(wanted)
    made = place_ports.place(session, conf, drafts)
    bound: dict[str, list[Port]] = {server.id: [] for server in servers}
    for port in [*taken, *made]:
        bound[str(port.server_id)].append(port)
    return {server_id: sorted(ports, key=lambda port: port.nic_index) for server_id, ports in bound.items()}


def release_ports(session: orm.Session, server_id: str, context: RequestContext | None = None) -> list[str]:
    """Delete the ports made for a server and give the user's own back; may be repeated.

    With `context`, the hosts of servers whose rules admit this one's addresses are told: returns the ids of the
    operations to wake after the commit.
    """
    return _release(session, execute_built(session, _RELEASED, {"server": server_id}).all(), context)


def set_ports_host(session: orm.Session, server_id: str, host_id: str | None, status: str,
                   context: RequestContext | None = None, *, arrived: bool = True,
                   moved: bool = False) -> list[str]:
    """Record where a server's ports are and whether they work ("ACTIVE", "DOWN", "BUILD").

    With `context`, the other hosts of networks that need it are told, and if it has `arrived`, so are those of servers
    whose rules admit its addresses (needed once, when the ports first become ACTIVE). One that `moved` is known at its
    host by its old place. Returns the ids of the operations to wake after the commit.
    """
    follows = _move(session, {
        "server": server_id, "host": host_id, "new_status": status, "moment": clock.utcnow(), "port": None,
        "except_server": server_id, "except_host": host_id or ""})
    if follows is None:
        return []
    network_ids = peers.server_changed(session, server_id) if follows.peers else []
    if host_id is not None and follows.routers:
        routers.take_addresses_for(session, host_id, server_id)
    operation_ids = routers.notify_of_forwarders(
        session, context, routers.routers_forwarding(session, server_id=server_id)) if follows.forwarders else []
    if context is None:
        return []
    known_at = host_id if arrived and not moved else None
    operation_ids += host_updates.notify_of_peers(session, context, network_ids, known_at)
    if arrived and follows.members:
        operation_ids += security_groups.notify_arrival(session, context, server_id, host_id)
    return operation_ids


def _move(session: orm.Session, values: Mapping[str, Any]) -> Any | None:
    """Write where a server's ports are; return what else follows from it (`_FOLLOWS`), or None when it has none."""
    session.flush()
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        follows = execute_compiled(connection, _MOVE_AND_ASK, values).one()
        return follows if follows.moved else None
    if not connection.execute(_MOVE, {name: values[name] for name in ("server", "host", "new_status", "moment")}
                              ).rowcount:
        return None
    return execute_compiled(connection, _FOLLOWS, values).one()


def port_is_plugged(session: orm.Session, port_id: str, context: RequestContext) -> list[str]:
    """Record that one port of a running server works, and tell hosts whose rules admit its addresses, as
    `set_ports_host`."""
    port = session.get_one(Port, port_id)
    port.status = "ACTIVE"
    port.revision += 1
    session.flush()
    network_ids = peers.ports_changed(session, [port.id])
    return [*routers.notify_of_forwarders(session, context, routers.routers_forwarding(session, port_ids=[port.id])),
            *host_updates.notify_of_peers(session, context, network_ids, port.host_id),
            *security_groups.notify_arrival(session, context, str(port.server_id), port.host_id, port_id=port.id)]


def release_port(session: orm.Session, port_id: str, context: RequestContext) -> list[str]:
    """Delete one port that was made for its server, or give the user's own back; otherwise as `release_ports`."""
    return _release(session, execute_built(session, _RELEASED_ONE, {"port": port_id}).all(), context)


def is_admin(context: RequestContext) -> bool:
    """Return whether the caller may use what belongs to any project."""
    return bool(context.is_admin)


def _release(session: orm.Session, rows: Sequence[Any], context: RequestContext | None) -> list[str]:
    """Let go of ports of one server, of which there is a row with each of their groups."""
    if not rows:
        return []
    made = sorted({row.id for row in rows if row.owned_by_server})
    own = sorted({row.id for row in rows if not row.owned_by_server})
    server_id, port_ids = rows[0].server_id, [*made, *own]
    group_ids = sorted({row.group_id for row in rows if row.group_id is not None})
    network_ids = peers.ports_changed(session, sorted({row.id for row in rows if row.is_told}))
    led_to = sorted({row.id for row in rows if row.is_led_to})
    router_ids = routers.routers_forwarding(session, port_ids=led_to) if led_to else []
    operation_ids = [] if context is None else security_groups.notify_hosts(
        session, context, group_ids, rules_changed=False, except_server=server_id)
    if made and router_ids:
        routers.stop_forwarding(session, made)
    revisions.members_changed(session, group_ids, port_ids, beside=_REMOVE if made else (),
                              values={"ids": made, "moment": clock.utcnow()})
    if own:
        session.execute(sa.update(Port).where(Port.id.in_(own)).execution_options(**_QUIET).values(
            server_id=None, device_id="", device_owner="", host_id=None, status="DOWN", nic_index=0,
            device_tag=None,
            revision=Port.revision + 1, updated_at=clock.utcnow()))
    if context is not None:
        operation_ids += host_updates.notify_of_peers(session, context, network_ids)
    return operation_ids + routers.notify_of_forwarders(session, context, router_ids)


def automatic_network(session: orm.Session, project_id: str) -> str:
    """Return the only network a project may use, or its default one; raises Invalid, and Conflict for several."""
    return _automatic(session, project_id)[0].id


def _automatic(session: orm.Session, project_id: str,
               allocate: Callable[[], Network] | None = None) -> tuple[Network, list[Subnet], str | None]:
    """As `automatic_network`, the network itself with its subnets; where there is none, what `allocate` makes.

    Beside them the project's default security group, if it has one yet.
    """
    rows = session.execute(_AUTOMATIC, {"project": project_id}).tuples().all()
    networks = list({network.id: network for network, *_ in rows}.values())
    if not networks and allocate is not None:
        made = allocate()
        return made, _subnets(session, {made.id: made})[made.id], None
    if not networks:
        raise errors.Invalid(reason=f"Unable to automatically allocate a network for project {ids.bare(project_id)}")
    defaults = [network for network in networks if network.is_default]
    candidates = [network for network in defaults if network.project_id == project_id] or defaults or networks
    if len(candidates) > 1:
        raise errors.Conflict(reason="Multiple possible networks found, use a Network ID to be more specific.")
    return candidates[0], [subnet for network, subnet, _ in rows if network is candidates[0]], rows[0][2]


def _check_repeatable(requests: Sequence[NetworkRequest], count: int) -> None:
    port_ids = [request.port_id for request in requests if request.port_id is not None]
    if len(set(port_ids)) < len(port_ids):
        raise errors.Invalid(reason="Duplicate ports are not allowed.")
    if count > 1 and port_ids:
        raise errors.Invalid(reason="Unable to launch multiple instances with a single configured port ID. Please "
                                    "launch your instance one by one with different ports.")
    if count > 1 and any(request.fixed_ip for request in requests):
        raise errors.Invalid(reason="Invalid fixed IP Address: max_count must be 1 when an address is named.")


def _take_ports(session: orm.Session, context: RequestContext, servers: Sequence[NewServer],
                requests: Sequence[NetworkRequest], first_index: int) -> list[Port]:
    wanted = [(index, request) for index, request in enumerate(requests, first_index) if request.port_id is not None]
    for index, request in wanted:
        _take_port(session, context, servers[0], request, index)
    if not wanted:
        return []
    return list(session.scalars(sa.select(Port).where(Port.id.in_([request.port_id for _, request in wanted]))
                                .execution_options(populate_existing=True)))


def _take_port(session: orm.Session, context: RequestContext, server: NewServer, request: NetworkRequest,
               index: int) -> None:
    port_id = request.port_id
    mine = sa.true() if is_admin(context) else Port.project_id == str(context.project_id)
    # A compare-and-set: of two servers that want the port, one gets it.
    taken = session.execute(
        sa.update(Port).where(Port.id == port_id, mine, Port.server_id.is_(None), Port.device_id == "",
                              sa.exists().where(FixedIp.port_id == Port.id))
        .execution_options(synchronize_session=False)
        .values(server_id=server.id, device_id=server.id, device_owner=COMPUTE_OWNER, nic_index=index,
                device_tag=request.tag, owned_by_server=False, revision=Port.revision + 1, updated_at=clock.utcnow()))
    if taken.rowcount == 1:  # type: ignore[attr-defined]
        return
    row = session.execute(sa.select(Port.device_id, Port.server_id).where(Port.id == port_id, mine)).one_or_none()
    if row is None:
        raise errors.Invalid(reason=f"Port id {port_id} could not be found.")
    if row.device_id or row.server_id:
        raise errors.Conflict(reason=f"Port {port_id} is still in use.")
    raise errors.Invalid(reason=f"Port {port_id} requires a FixedIP in order to be used.")


def _drafts(session: orm.Session, context: RequestContext, servers: Sequence[NewServer],
            new: Sequence[tuple[int, NetworkRequest]], groups: Sequence[str], first_index: int,
            automatic: tuple[Network, list[Subnet], str | None] | None) -> list[place_ports.Draft]:
    if not new:
        return []
    project_id = str(context.project_id)
    if automatic is not None:
        networks, subnets = {automatic[0].id: automatic[0]}, {automatic[0].id: automatic[1]}
    else:
        networks = _networks(session, context, {str(request.network_id) for _, request in new})
        subnets = _subnets(session, networks)
    secured = any(network.port_security_enabled for network in networks.values())
    if list(groups) != ["default"] and not all(network.port_security_enabled for network in networks.values()):
        # A user who names groups relies on their rules. The default one is what a server gets that names none.
        raise errors.Invalid(reason="Network requires port_security_enabled and subnet associated in order to apply "
                                    "security groups.")
    default = automatic[2] if automatic is not None else None
    group_ids = tuple(security_groups.resolve(session, project_id, groups, default)) if secured else ()
    security_groups.check_alike(session, group_ids)
    drafts = []
    for server in servers:
        for index, request in new:
            network = networks[str(request.network_id)]
            values: dict[str, Any] = {
                "server_id": server.id, "device_id": server.id, "device_owner": COMPUTE_OWNER,
                "owned_by_server": True, "nic_index": first_index + index, "dns_name": server.hostname,
                "device_tag": request.tag,
                "port_security_enabled": network.port_security_enabled}
            drafts.append(place_ports.Draft(
                network, project_id, _wishes(context, network, subnets.get(network.id, []), request.fixed_ip),
                group_ids=group_ids if network.port_security_enabled else (), values=values))
    return drafts


def _networks(session: orm.Session, context: RequestContext, wanted: set[str]) -> dict[str, Network]:
    usable: sa.ColumnElement[bool] = sa.or_(Network.project_id == str(context.project_id),
                                            sharing.shared_with(Network.id, context.project_id))
    if is_admin(context):
        usable = sa.true()
    found = {network.id: network for network in
             session.scalars(sa.select(Network).where(Network.id.in_(wanted), sa.or_(
                 usable, sharing.external_to(context.project_id))))}
    for network_id in sorted(wanted - set(found)):
        raise errors.Invalid(reason=f"Network {network_id} could not be found.")
    foreign = {} if is_admin(context) else {
        network.id: network for network in found.values()
        if network.external and network.project_id != context.project_id}
    for network in foreign.values():
        if not sharing.shared_among(session, [network.id], context.project_id):
            raise errors.Forbidden(f"It is not allowed to create an interface on external network {network.id}",
                                   action="create_port")
    return found


def _subnets(session: orm.Session, networks: dict[str, Network]) -> dict[str, list[Subnet]]:
    found: dict[str, list[Subnet]] = {}
    for subnet in session.scalars(_SUBNETS, {"ids": list(networks)}):
        found.setdefault(subnet.network_id, []).append(subnet)
    for network_id in networks:
        if network_id not in found:
            raise errors.Invalid(reason=f"Network {network_id} requires a subnet in order to boot instances on.")
    return found


def _wishes(context: RequestContext, network: Network, subnets: Sequence[Subnet],
            address: str | None) -> tuple[ipam.AddressRequest, ...]:
    if address is None:
        return place_ports.wanted(subnets)
    subnet = ipam.subnet_with(subnets, address)
    if subnet is None:
        raise errors.Invalid(reason=f"Fixed IP address {address} is not in a subnet of network {network.id}.")
    owner = is_admin(context) or network.project_id == context.project_id
    named = ipam.AddressRequest((subnet,), ipam.check_address(network, subnet, address, owner=owner))
    return (named, *place_ports.formed(subnets))
