"""The services of the cloud: compute agents (their hosts' rows) and control services, and taking hosts out of service.

Only compute services may be changed: the others are stopped where they run.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.fleet import hosts
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import AggregateHost, Allocation, Host, Port, RouterPort, Server, Service, Zone
from hostler.db.moments import now

COMPUTE = "nova-compute"
INTERNAL_ZONE = "internal"
_POLICY = "os_compute_api:os-services:"


@dataclasses.dataclass(frozen=True)
class ServiceShown:
    """A service; `number` is its id in old versions, even for agents and odd for the others."""

    id: str
    number: int
    binary: str
    host: str
    zone: str
    enabled: bool
    disabled_reason: str | None
    forced_down: bool
    up: bool
    seen_at: dt.datetime | None


def compute_number(host: Host) -> int:
    """Return the number of a host's compute service."""
    return 2 * host.number


def list_services(services: Services, context: RequestContext, *, host: str | None = None,
                  binary: str | None = None) -> list[ServiceShown]:
    """Return the services on a host, of a kind, or all: agents first."""
    services.policy.check(context, _POLICY + "list")
    with services.db.reading() as session:
        found = all_services(services, session)
    return [one for one in found if host in (None, one.host) and binary in (None, one.binary)]


def all_services(services: Services, session: orm.Session) -> list[ServiceShown]:
    """Return every service, in two statements."""
    silent = hosts.silent_before(services)
    agents = [_agent(host, zone, silent) for host, zone in session.execute(
        sa.select(Host, Zone.name).join(Zone, Zone.id == Host.zone_id).order_by(Host.number))]
    others = [ServiceShown(row.id, 2 * row.number + 1, row.binary, row.host, INTERNAL_ZONE, row.enabled,
                           row.disabled_reason, False, row.last_seen_at >= silent, row.last_seen_at)
              for row in session.scalars(sa.select(Service).order_by(Service.number))]
    return agents + others


def _agent(host: Host, zone: str, silent: dt.datetime) -> ServiceShown:
    return ServiceShown(host.id, compute_number(host), COMPUTE, host.name, zone, hosts.is_enabled(host),
                        hosts.disabled_reason(host), host.forced_down, hosts.is_up(host, silent), host.last_seen_at)


@dataclasses.dataclass(frozen=True)
class Change:
    """What is to be changed of a compute service; None leaves a thing as it is."""

    enabled: bool | None = None
    disabled_reason: str | None = None
    forced_down: bool | None = None


def change_on_host(services: Services, context: RequestContext, host: str, binary: str,
                   change: Change) -> ServiceShown:
    """Change the compute service of a host by name; raises NotFound, Invalid for another kind of service."""
    services.policy.check(context, _POLICY + "update")
    if binary != COMPUTE:
        _refuse_other(services, sa.and_(Service.host == host, Service.binary == binary), f"{binary} on host {host}")
    return _change(services, Host.name == host, f"Could not find binary {binary} on host {host}.", host, change)


def change_by_id(services: Services, context: RequestContext, service_id: str, change: Change) -> ServiceShown:
    """Change a compute service by id; raises NotFound, Invalid for another kind of service."""
    services.policy.check(context, _POLICY + "update")
    _refuse_other(services, Service.id == service_id, None)
    return _change(services, Host.id == service_id, f"Service {service_id} could not be found.", service_id, change)


def _refuse_other(services: Services, which: sa.ColumnElement[bool], missing: str | None) -> None:
    with services.db.reading() as session:
        binary = session.scalar(sa.select(Service.binary).where(which))
    if binary is not None:
        raise errors.Invalid(reason=f"Updating a {binary} service is not supported. Only {COMPUTE} services can be "
                                    "updated.")
    if missing is not None:
        raise errors.NotFound(f"Could not find binary {missing}.", resource="service", id=missing)


def _change(services: Services, which: sa.ColumnElement[bool], missing: str, identity: str,
            change: Change) -> ServiceShown:
    values: dict[str, Any] = {}
    if change.enabled is not None:
        values.update(enabled=change.enabled, disabled_reason=None if change.enabled else change.disabled_reason)
    if change.forced_down is not None:
        values["forced_down"] = change.forced_down

    def work(session: orm.Session) -> ServiceShown:
        session.execute(sa.update(Host).where(which).values(**values, changed_at=now()))
        found = session.execute(sa.select(Host, Zone.name).join(Zone, Zone.id == Host.zone_id)
                                .where(which)).one_or_none()
        if found is None:
            raise errors.NotFound(missing, resource="service", id=identity)
        return _agent(found[0], found[1], hosts.silent_before(services))

    return services.db.write(work)


def delete_service(services: Services, context: RequestContext, identity: str | int) -> None:
    """Forget a service, by id or number. A host goes with its memberships.

    Raises NotFound, and Conflict while the host holds servers. An agent that still runs registers again.
    """
    services.policy.check(context, _POLICY + "delete")
    of_agent, of_other = _identified(identity)

    def work(session: orm.Session) -> None:
        other = session.scalar(sa.select(Service.id).where(of_other))
        host_id = session.scalar(sa.select(Host.id).where(of_agent).with_for_update())
        if other is not None:
            session.execute(sa.delete(Service).where(Service.id == other))
        elif host_id is not None:
            _delete_host(session, host_id)
        else:
            raise errors.NotFound(f"Service {identity} could not be found.", resource="service", id=str(identity))

    services.db.write(work)


def _identified(identity: str | int) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Return which host's agent and which control service an id (or an old version's number) means."""
    if isinstance(identity, int):
        number, is_other = divmod(identity, 2)
        return (sa.false(), Service.number == number) if is_other else (Host.number == number, sa.false())
    known = ids.canonical(identity) or ""
    return Host.id == known, Service.id == known


def _delete_host(session: orm.Session, host_id: str) -> None:
    holds = session.scalar(sa.select(sa.or_(
        sa.exists().where(Server.host_id == host_id, Server.deleted_at.is_(None)),
        sa.exists().where(Allocation.host_id == host_id))))
    if holds:
        raise errors.Conflict(reason="Unable to delete compute service that is hosting instances. Migrate or delete "
                                     "the instances first.")
    session.execute(sa.update(Server).where(Server.host_id == host_id).values(host_id=None))
    for model in (Port, RouterPort):
        session.execute(sa.update(model).where(model.host_id == host_id).values(host_id=None))
    session.execute(sa.delete(AggregateHost).where(AggregateHost.host_id == host_id))
    session.execute(sa.delete(Host).where(Host.id == host_id))
