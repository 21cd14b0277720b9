"""Hosts as administrators see them: what they offer, what is used, which servers they hold, whether they live.

Every list is a fixed number of statements, whatever the number of hosts.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Allocation, Host, Lock, Server
from hostler.query.fields import Field
from hostler.query.paging import Query, read_page
from hostler.query.resources import declare
from hostler.resources.server import allocations
from hostler.resources.server.allocations import Amounts

_POLICY = "os_compute_api:os-hypervisors:"
_SHOWN_NAME: Final = sa.case((Host.hypervisor_hostname != "", Host.hypervisor_hostname), else_=Host.name)
HOST: Final = declare(Host, {"hostname": Field(_SHOWN_NAME)})
# Markers of the time before UUIDs.
NUMBERED_HOST: Final = dataclasses.replace(HOST, key=HOST.table.c.number)


@dataclasses.dataclass(frozen=True)
class HostShown:
    """A host with what is counted for it. `servers` is None when they were not asked for, else [(id, name)]."""

    row: Host
    used: Amounts
    server_count: int
    operations: int
    up: bool
    servers: Sequence[tuple[str, str]] | None = None

    @property
    def hostname(self) -> str:
        """The hypervisor's own name."""
        return self.row.hypervisor_hostname or self.row.name


def silent_before(services: Services) -> dt.datetime:
    """Return the moment before which a last report means that a service is down."""
    return services.db.now() - dt.timedelta(seconds=services.conf.service_down_time)


def is_up(host: Host, silent: dt.datetime) -> bool:
    """Return whether a host's service lives and is believed to."""
    return not host.forced_down and host.last_seen_at is not None and host.last_seen_at >= silent


def is_enabled(host: Host) -> bool:
    """Return whether a host gets new servers; a sick one does not."""
    return host.enabled and host.healthy


def disabled_reason(host: Host) -> str | None:
    """Return why a host gets no new servers, said by an administrator or by its agent."""
    if not host.enabled or host.healthy:
        return host.disabled_reason
    return f"AUTO: {host.unhealthy_reason or 'the hypervisor does not answer'}"[:255]


def list_hosts(services: Services, context: RequestContext, action: str, query: Query, *,
               with_servers: bool = False) -> list[HostShown]:
    """Return a page of hosts; raises Invalid for an unknown marker (a host's number or id)."""
    services.policy.check(context, _POLICY + action)
    resource = HOST if ids.canonical(query.marker or "") is not None else NUMBERED_HOST
    with services.db.reading() as session:
        rows = read_page(session, resource, query).rows
        return shown(services, session, rows, with_servers=with_servers)


def show_host(services: Services, context: RequestContext, action: str, identity: str | int, *,
              with_servers: bool = False) -> HostShown:
    """Return one host by number or id; raises NotFound."""
    services.policy.check(context, _POLICY + action)
    with services.db.reading() as session:
        row = session.scalars(sa.select(Host).where(_identified(identity))).one_or_none()
        if row is None:
            raise errors.NotFound(f"Hypervisor with ID '{identity}' could not be found.", resource="hypervisor",
                                  id=str(identity))
        return shown(services, session, [row], with_servers=with_servers)[0]


def _identified(identity: str | int) -> sa.ColumnElement[bool]:
    return Host.number == identity if isinstance(identity, int) else Host.id == (ids.canonical(identity) or "")


def shown(services: Services, session: orm.Session, rows: Sequence[Host], *,
          with_servers: bool = False) -> list[HostShown]:
    """Return hosts with what is counted for them, in a fixed number of statements."""
    host_ids = [row.id for row in rows]
    if not host_ids:
        return []
    # Past one chunk of ids it is cheaper to sum everything than to name the hosts.
    some = host_ids if len(host_ids) <= 500 else None
    used = allocations.usage_by_host(session, some)
    counts = _count(session, sa.select(Server.host_id, sa.func.count()).where(
        Server.deleted_at.is_(None), Server.host_id.is_not(None)), Server.host_id, some)
    busy = _count(session, sa.select(Allocation.host_id, sa.func.count()).join(
        Lock, Lock.resource_id == Allocation.consumer_id), Allocation.host_id, some)
    servers = _servers(session, some) if with_servers else None
    silent = silent_before(services)
    return [HostShown(row, used.get(row.id, Amounts()), counts.get(row.id, 0), busy.get(row.id, 0),
                      is_up(row, silent), None if servers is None else servers.get(row.id, ()))
            for row in rows]


def _count(session: orm.Session, query: Any, column: Any, host_ids: Sequence[str] | None) -> dict[str, int]:
    if host_ids is not None:
        query = query.where(column.in_(host_ids))
    return dict(session.execute(query.group_by(column)).tuples().all())


def _servers(session: orm.Session, host_ids: Sequence[str] | None) -> Mapping[str, Sequence[tuple[str, str]]]:
    query = sa.select(Server.host_id, Server.id, Server.name).where(
        Server.deleted_at.is_(None), Server.host_id.is_not(None)).order_by(Server.created_at, Server.id)
    if host_ids is not None:
        query = query.where(Server.host_id.in_(host_ids))
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for host_id, server_id, name in session.execute(query):
        found[host_id].append((server_id, name))
    return found
