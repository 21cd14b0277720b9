"""Reading servers: plain rows and everything shown beside them, in a fixed number of statements for any page.

Lists and shows use the same path; no ORM object is built for a server that is only read.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.membership import among
from hostler.db.models import (
    FixedIp,
    FloatingIp,
    Host,
    Lock,
    Network,
    Operation,
    Port,
    PortSecurityGroup,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    ServerGroupMember,
    ServerTag,
    VolumeAttachment,
    Zone,
)
from hostler.operations import states as operation_states
from hostler.operations.kinds import server as kinds
from hostler.resources.server.status import task_state

SERVERS = Server.__table__
LOCKS = Lock.__table__
PORTS: Any = Port.__table__
FIXED_IPS: Any = FixedIp.__table__
MEMBERS: Any = PortSecurityGroup.__table__
# Large, or shown in no list.
_HEAVY = frozenset({"user_data", "public_key", "image_properties", "scheduler_hints", "last_host_id", "rescue_image_id",
                    "shelved_image_id", "iso_image_id", "boot_order", "cpu_mode",
                    "parked_at", "parked_from", "encrypted_password"})
_COLUMNS = [column for column in SERVERS.c if column.key not in _HEAVY]

# Built once: composing a statement costs as much as running it on one server.
_NETWORKS: Any = Network.__table__
_GROUP_NAMES: Any = SecurityGroup.__table__
_TAGGED: Any = ServerTag.__table__
_ATTACHED: Any = VolumeAttachment.__table__
_GROUPED: Any = ServerGroupMember.__table__
_PLACES: Any = Host.__table__
_ZONES: Any = Zone.__table__
_FLOATING: Any = FloatingIp.__table__
_ADDRESSES = (sa.select(PORTS.c.server_id, PORTS.c.nic_index, FIXED_IPS.c.ip_address, _NETWORKS.c.name,
                        PORTS.c.mac_address, sa.literal("fixed").label("kind"))
              .select_from(PORTS.join(FIXED_IPS, FIXED_IPS.c.port_id == PORTS.c.id)
                           .join(_NETWORKS, _NETWORKS.c.id == PORTS.c.network_id))
              .where(among(PORTS.c.server_id)))
_ALL_ADDRESSES = _ADDRESSES.union_all(
    sa.select(PORTS.c.server_id, PORTS.c.nic_index, _FLOATING.c.address, _NETWORKS.c.name, PORTS.c.mac_address,
              sa.literal("floating"))
    .select_from(PORTS.join(_FLOATING, _FLOATING.c.port_id == PORTS.c.id)
                 .join(_NETWORKS, _NETWORKS.c.id == PORTS.c.network_id))
    .where(among(PORTS.c.server_id)))
_IN_GROUP, _TAG, _VOLUME, _MEMBER = "security group", "tag", "volume", "group"


def _beside(kind: str, server_id: Any, text: Any, *, position: Any = None, flag: Any = None) -> sa.Select[Any]:
    """Return the SELECT of one kind of what is shown with servers, in columns that all kinds have."""
    return sa.select(server_id, sa.literal_column(f"'{kind}'").label("kind"), text.label("text"),
                     (sa.literal_column("0") if position is None else position).label("position"),
                     (sa.false() if flag is None else flag).label("flag")).where(among(server_id))


_KINDS = (
    _beside(_IN_GROUP, PORTS.c.server_id, _GROUP_NAMES.c.name).select_from(
        PORTS.join(MEMBERS, MEMBERS.c.port_id == PORTS.c.id)
        .join(_GROUP_NAMES, _GROUP_NAMES.c.id == MEMBERS.c.group_id)),
    _beside(_TAG, _TAGGED.c.server_id, _TAGGED.c.tag),
    _beside(_VOLUME, _ATTACHED.c.server_id, _ATTACHED.c.volume_id, flag=_ATTACHED.c.delete_on_termination,
            position=sa.func.row_number().over(partition_by=_ATTACHED.c.server_id, order_by=(
                _ATTACHED.c.created_at, _ATTACHED.c.device, _ATTACHED.c.id))))
# One statement: to send one costs more than what most servers have of all this.
_BESIDE = sa.union_all(*_KINDS)
_BESIDE_WITH_GROUPS = sa.union_all(*_KINDS, _beside(_MEMBER, _GROUPED.c.server_id, _GROUPED.c.group_id))
_HOSTS = (sa.select(_PLACES.c.id, _PLACES.c.name, _PLACES.c.hypervisor_hostname, _PLACES.c.enabled,
                    _PLACES.c.forced_down, _PLACES.c.healthy, _PLACES.c.last_seen_at, _ZONES.c.name.label("zone"))
          .join(_ZONES, _ZONES.c.id == _PLACES.c.zone_id).where(among(_PLACES.c.id)))


@dataclasses.dataclass(frozen=True)
class HostShown:
    """What is shown of a server's host; `status` is UP, DOWN or MAINTENANCE."""

    name: str
    hypervisor_hostname: str
    zone: str
    status: str


class Address(NamedTuple):
    """One address of a server."""

    network: str
    version: int
    ip: str
    mac: str
    kind: str = "fixed"


@dataclasses.dataclass(frozen=True)
class Related:
    """What is shown with a page of servers, by server id (hosts by host id).

    `volumes` are (id, whether it is deleted with the server).
    """

    hosts: Mapping[str, HostShown]
    addresses: Mapping[str, Sequence[Address]]
    security_groups: Mapping[str, Sequence[str]]
    tags: Mapping[str, Sequence[str]]
    tasks: Mapping[str, str | None]
    groups: Mapping[str, str]
    volumes: Mapping[str, Sequence[tuple[str, bool]]] = dataclasses.field(default_factory=dict)


def selection(*, user_data: bool = False) -> sa.Select[Any]:
    """Return the SELECT of server rows, each with `lock_kind` and `lock_operation_id`."""
    columns = [*_COLUMNS, *([SERVERS.c.user_data] if user_data else []), LOCKS.c.kind.label("lock_kind"),
               LOCKS.c.operation_id.label("lock_operation_id")]
    return sa.select(*columns).select_from(SERVERS.outerjoin(LOCKS, LOCKS.c.resource_id == SERVERS.c.id))


def not_found(server_id: str) -> errors.NotFound:
    """Return the error for a server that does not exist for the caller."""
    return errors.NotFound(f"Instance {server_id} could not be found.", resource="server", id=server_id)


def _finding(selection: sa.Select[Any]) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return the SELECT of one living server, for any project and for one."""
    anybody = selection.where(SERVERS.c.id == sa.bindparam("server"), SERVERS.c.deleted_at.is_(None))
    return anybody, anybody.where(SERVERS.c.project_id == sa.bindparam("project"))


_FIND, _FIND_IN_PROJECT = _finding(selection())
_FIND_WITH_DATA, _FIND_WITH_DATA_IN_PROJECT = _finding(selection(user_data=True))


def find(session: orm.Session, context: RequestContext, server_id: str, *, user_data: bool = False) -> Any:
    """Return one server's row; raises NotFound when it is gone or another project's."""
    identifier = ids.canonical(server_id)
    if identifier is None:
        raise not_found(server_id)
    if context.is_admin:
        row = session.execute(_FIND_WITH_DATA if user_data else _FIND, {"server": identifier}).one_or_none()
    else:
        row = session.execute(_FIND_WITH_DATA_IN_PROJECT if user_data else _FIND_IN_PROJECT,
                              {"server": identifier, "project": context.project_id}).one_or_none()
    if row is None:
        raise not_found(server_id)
    return row


def load(session: orm.Session, context: RequestContext, server_id: str, *, held: bool = False) -> Server:
    """Return one server, `held` till the transaction ends; raises NotFound when it is gone or another project's."""
    identifier = ids.canonical(server_id)
    server = session.get(Server, identifier, with_for_update=held) if identifier is not None else None
    if server is None or server.deleted_at is not None:
        raise not_found(server_id)
    if not context.is_admin and server.project_id != context.project_id:
        raise not_found(server_id)
    return server


def target_of(server: Any) -> dict[str, Any]:
    """Return what policy rules are asked about."""
    return {"project_id": server.project_id, "user_id": server.user_id}


def related(services: Services, session: orm.Session, rows: Sequence[Any], *, groups: bool = False) -> Related:
    """Return what is shown with `rows`; `groups` adds the server groups."""
    server_ids = [row.id for row in rows]
    if not server_ids:
        return Related({}, {}, {}, {}, {}, {})
    host_ids = {row.host_id for row in rows if row.host_id is not None}
    found: dict[str, dict[str, list[tuple[int, str, bool]]]] = defaultdict(lambda: defaultdict(list))
    statement = _BESIDE_WITH_GROUPS if groups else _BESIDE
    for server_id, kind, text, position, flag in session.execute(statement, {"ids": server_ids}).all():
        found[kind][server_id].append((position, text, bool(flag)))
    return Related(
        hosts=hosts_shown(services, session, host_ids) if host_ids else {},
        addresses=addresses_of(session, server_ids), tasks=_tasks(session, rows),
        security_groups={server_id: sorted({name for _, name, _ in names})
                         for server_id, names in found[_IN_GROUP].items()},
        tags={server_id: sorted(tag for _, tag, _ in tags) for server_id, tags in found[_TAG].items()},
        groups={server_id: group_id for server_id, [(_, group_id, _)] in found[_MEMBER].items()},
        volumes={server_id: [(volume_id, doomed) for _, volume_id, doomed in sorted(volumes)]
                 for server_id, volumes in found[_VOLUME].items()})


def hosts_shown(services: Services, session: orm.Session, host_ids: set[str]) -> dict[str, HostShown]:
    """Return what is shown of hosts, by id."""
    silent_before = services.db.now() - dt.timedelta(seconds=services.conf.service_down_time)
    return {row.id: HostShown(row.name, row.hypervisor_hostname, row.zone, _host_status(row, silent_before))
            for row in session.execute(_HOSTS, {"ids": list(host_ids)})}


def _host_status(row: Any, silent_before: dt.datetime) -> str:
    if not row.enabled:
        return "MAINTENANCE"
    alive = not row.forced_down and row.last_seen_at is not None and row.last_seen_at >= silent_before
    return "UP" if alive and row.healthy else "DOWN"


def addresses_of(session: orm.Session, server_ids: Sequence[str]) -> dict[str, list[Address]]:
    """Return the addresses of servers in the order of their NICs, floating ones last."""
    found: dict[str, list[Address]] = defaultdict(list)
    rows = session.execute(_ALL_ADDRESSES, {"ids": server_ids}).all()
    for server_id, _, address, network, mac, kind in sorted(rows, key=lambda row: (row.kind, *row)):
        found[server_id].append(Address(network, 6 if ":" in address else 4, address, mac, kind))
    return found


def _tasks(session: orm.Session, rows: Sequence[Any]) -> dict[str, str | None]:
    busy = [row for row in rows if row.lock_kind is not None]
    if not busy:
        return {}
    # Only the operation knows whether a reboot is a hard one, and a delete may wait behind the lock's holder. That one
    # may have ended since the row was read, which shows what was before.
    query = sa.select(Operation.resource_id, Operation.kind, Operation.arguments).where(sa.or_(
        Operation.id.in_([row.lock_operation_id for row in busy]),
        sa.and_(Operation.resource_id.in_([row.id for row in busy]),
                Operation.state.in_(operation_states.UNFINISHED))))
    hard: set[str] = set()
    leaving: dict[str, str] = {}
    for server_id, kind, arguments in session.execute(query):
        if kind in (kinds.DELETE.name, kinds.SOFT_DELETE.name):
            leaving[server_id] = kind
        elif arguments.get("hard"):
            hard.add(server_id)
    return {row.id: task_state(leaving.get(row.id, row.lock_kind),
                               placed=row.host_id is not None, hard=row.id in hard) for row in busy}


def security_groups_of(services: Services, server_id: str) -> list[tuple[Any, list[Any]]]:
    """Return the groups of a server's ports and the rules of each (with the remote group's name and project)."""
    remote = orm.aliased(SecurityGroup)
    with services.db.reading() as session:
        groups = session.scalars(
            sa.select(SecurityGroup).where(SecurityGroup.id.in_(
                sa.select(MEMBERS.c.group_id).join(PORTS, PORTS.c.id == MEMBERS.c.port_id)
                .where(PORTS.c.server_id == server_id))).order_by(SecurityGroup.name)).all()
        rules = session.execute(
            sa.select(SecurityGroupRule, remote.name, remote.project_id)
            .outerjoin(remote, remote.id == SecurityGroupRule.remote_group_id)
            .where(SecurityGroupRule.group_id.in_([group.id for group in groups]))
            .order_by(SecurityGroupRule.created_at, SecurityGroupRule.id)).all()
    return [(group, [row for row in rules if row[0].group_id == group.id]) for group in groups]


def ports_of(services: Services, server_id: str) -> list[tuple[Port, list[FixedIp]]]:
    """Return a server's ports in the order of its NICs, each with its addresses."""
    with services.db.reading() as session:
        ports = session.scalars(sa.select(Port).where(Port.server_id == server_id).order_by(Port.nic_index)).all()
        addresses = session.scalars(sa.select(FixedIp).where(FixedIp.port_id.in_([port.id for port in ports]))
                                    .order_by(FixedIp.ip_address)).all()
    return [(port, [address for address in addresses if address.port_id == port.id]) for port in ports]
