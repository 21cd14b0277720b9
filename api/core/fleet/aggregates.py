"""Aggregates: sets of hosts with metadata, and the way hosts get into availability zones.

An aggregate with a zone puts its hosts there; a host is in one zone only, so aggregates of different zones cannot share
a host, and a host that holds servers does not change its zone under them. A host that leaves its zone's aggregate goes
to the default zone. Every verb keeps `updated_at`, which schedulers watch, and touches the hosts whose zone it changes.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from oslo_utils import strutils
from sqlalchemy import exc, orm

from api.core.fleet.availability_zones import ensure_zone
from api.services import Services
from hostler import clock, errors
from hostler.context import RequestContext
from hostler.db.models import Aggregate, AggregateHost, Allocation, Host, Server
from hostler.operations import drains
from hostler.query.paging import Query, read_page
from hostler.query.resources import declare
from hostler.resources.server import allocations

ZONE_KEY = "availability_zone"
AGGREGATE: Final = declare(Aggregate)
_POLICY = "os_compute_api:os-aggregates:"


@dataclasses.dataclass(frozen=True)
class AggregateShown:
    """An aggregate and the names of its hosts."""

    row: Aggregate
    hosts: tuple[str, ...]


def list_aggregates(services: Services, context: RequestContext) -> list[AggregateShown]:
    """Return all aggregates, in two statements."""
    services.policy.check(context, _POLICY + "index")
    with services.db.reading() as session:
        rows = read_page(session, AGGREGATE, Query()).rows
        names: dict[int, list[str]] = defaultdict(list)
        for aggregate_id, name in session.execute(
                sa.select(AggregateHost.aggregate_id, Host.name).join(Host, Host.id == AggregateHost.host_id)
                .order_by(Host.number)):
            names[aggregate_id].append(name)
    return [AggregateShown(row, tuple(names[row.id])) for row in rows]


def show_aggregate(services: Services, context: RequestContext, aggregate_id: int) -> AggregateShown:
    """Return one aggregate; raises NotFound."""
    services.policy.check(context, _POLICY + "show")
    with services.db.reading() as session:
        return _shown(session, _find(session, aggregate_id))


def create_aggregate(services: Services, context: RequestContext, name: str, zone: str | None) -> AggregateShown:
    """Create an empty aggregate; raises NotUnique."""
    services.policy.check(context, _POLICY + "create")

    def work(session: orm.Session) -> AggregateShown:
        row = Aggregate(name=name, availability_zone=zone, extra={})
        session.add(row)
        _flush_name(session, name)
        return AggregateShown(row, ())

    return services.db.write(work)


def update_aggregate(services: Services, context: RequestContext, aggregate_id: int,
                     values: Mapping[str, str | None]) -> AggregateShown:
    """Change `name` or `availability_zone`; raises NotFound, NotUnique, Invalid when the zone cannot change."""

    def change(session: orm.Session, row: Aggregate) -> None:
        if values.get("name"):
            row.name = str(values["name"])
        if ZONE_KEY in values:
            _change_zone(services, session, row, values[ZONE_KEY])
        _flush_name(session, row.name)

    return _change(services, context, "update", aggregate_id, change)


def set_metadata(services: Services, context: RequestContext, aggregate_id: int,
                 metadata: Mapping[str, str | None]) -> AggregateShown:
    """Set the keys given, remove those given as null; the key `availability_zone` is the zone.

    `hostler:maintenance` = true drains the aggregate's hosts, false or its removal lets them have servers again.
    """

    def change(session: orm.Session, row: Aggregate) -> None:
        merged = {**row.extra, **{key: value for key, value in metadata.items() if key != ZONE_KEY}}
        row.extra = {key: value for key, value in merged.items() if value is not None}
        if ZONE_KEY in metadata:
            _change_zone(services, session, row, metadata[ZONE_KEY])
        if drains.MAINTENANCE in metadata:
            wanted = strutils.bool_from_string(metadata[drains.MAINTENANCE] or "false")
            accepted[:] = drains.follow(session, context, _host_ids(session, row.id), wanted=wanted)

    accepted: list[str] = []
    shown = _change(services, context, "set_metadata", aggregate_id, change)
    services.waker.wake(context, *accepted)
    return shown


def _change(services: Services, context: RequestContext, verb: str, aggregate_id: int,
            change: Callable[[orm.Session, Aggregate], None]) -> AggregateShown:
    services.policy.check(context, _POLICY + verb)

    def work(session: orm.Session) -> AggregateShown:
        row = _hold(services, session, aggregate_id)
        change(session, row)
        row.updated_at = clock.utcnow()
        session.flush()
        return _shown(session, row)

    return services.db.write(work)


def delete_aggregate(services: Services, context: RequestContext, aggregate_id: int) -> None:
    """Delete an empty aggregate; raises NotFound, Invalid while it has hosts."""
    services.policy.check(context, _POLICY + "delete")

    def work(session: orm.Session) -> None:
        row = _hold(services, session, aggregate_id)
        if _host_ids(session, aggregate_id):
            raise errors.Invalid(reason=f"Cannot delete aggregate {aggregate_id}. Reason: Host aggregate is not empty")
        session.delete(row)

    services.db.write(work)


def add_host(services: Services, context: RequestContext, aggregate_id: int, host: str) -> AggregateShown:
    """Add a host; raises NotFound, and Conflict when it is a member or the zones disagree."""

    def change(session: orm.Session, row: Aggregate) -> None:
        host_id = _host_named(session, host)
        if host_id in _host_ids(session, aggregate_id):
            raise errors.Conflict(reason=f"Aggregate {aggregate_id} already has host {host}.")
        if row.availability_zone:
            _move(session, [host_id], row.availability_zone, aggregate_id, errors.Conflict, "add host to")
        session.add(AggregateHost(aggregate_id=aggregate_id, host_id=host_id))

    return _change(services, context, "add_host", aggregate_id, change)


def remove_host(services: Services, context: RequestContext, aggregate_id: int, host: str) -> AggregateShown:
    """Remove a host; raises NotFound, and Conflict when servers on it would change their zone."""

    def change(session: orm.Session, row: Aggregate) -> None:
        host_id = _host_named(session, host)
        if host_id not in _host_ids(session, aggregate_id):
            raise errors.NotFound(f"Aggregate {aggregate_id} has no host {host}.", resource="host", id=host)
        session.execute(sa.delete(AggregateHost).where(AggregateHost.aggregate_id == aggregate_id,
                                                       AggregateHost.host_id == host_id))
        if row.availability_zone and not _other_zones(session, [host_id], aggregate_id):
            _move(session, [host_id], _default_zone(services), aggregate_id, errors.Conflict, "remove host from")

    return _change(services, context, "remove_host", aggregate_id, change)


def _change_zone(services: Services, session: orm.Session, row: Aggregate, zone: str | None) -> None:
    if row.availability_zone == zone:
        return
    row.availability_zone = zone
    _move(session, _host_ids(session, row.id), zone or _default_zone(services), row.id, errors.Invalid, "update")


def _move(session: orm.Session, host_ids: Sequence[str], zone: str, aggregate_id: int,
          refusal: type[errors.HostlerError], verb: str) -> None:
    """Put hosts into a zone; raises `refusal` when another aggregate or a server on them forbids it."""
    if not host_ids:
        return
    others = _other_zones(session, host_ids, aggregate_id) - {zone}
    if others:
        raise refusal(reason=f"Cannot {verb} aggregate {aggregate_id}. Reason: One or more hosts already in "
                             f"availability zone(s) {sorted(others)}")
    zone_id = ensure_zone(session, zone)
    # The hosts are held, so that no claim comes between the look and the move.
    moving = session.scalars(sa.select(Host.id).where(Host.id.in_(host_ids), Host.zone_id != zone_id)
                             .order_by(Host.id).with_for_update()).all()
    if moving and session.scalar(sa.select(sa.or_(
            sa.exists().where(Server.host_id.in_(moving), Server.deleted_at.is_(None)),
            sa.exists().where(Allocation.host_id.in_(moving))))):
        raise refusal(reason=f"Cannot {verb} aggregate {aggregate_id}. Reason: One or more hosts contain instances "
                             "in another zone")
    session.execute(sa.update(Host).where(Host.id.in_(moving)).values(zone_id=zone_id))
    # The generation moves, too: a claim that was decided for the old zone then looks at the zone again.
    allocations.touch(session, moving, generation=True)


def _other_zones(session: orm.Session, host_ids: Sequence[str], aggregate_id: int) -> set[str]:
    zones = session.scalars(
        sa.select(Aggregate.availability_zone).join(AggregateHost, AggregateHost.aggregate_id == Aggregate.id)
        .where(AggregateHost.host_id.in_(host_ids), Aggregate.id != aggregate_id,
               Aggregate.availability_zone.is_not(None)))
    return {zone for zone in zones if zone}


def _default_zone(services: Services) -> str:
    zone: str = services.conf.scheduler.default_availability_zone
    return zone


def _find(session: orm.Session, aggregate_id: int) -> Aggregate:
    row = session.get(Aggregate, aggregate_id)
    if row is None:
        raise errors.NotFound(f"Aggregate {aggregate_id} could not be found.", resource="aggregate",
                              id=str(aggregate_id))
    return row


def _hold(services: Services, session: orm.Session, aggregate_id: int) -> Aggregate:
    services.db.lock_row(session, Aggregate, Aggregate.id == aggregate_id)
    return _find(session, aggregate_id)


def _host_ids(session: orm.Session, aggregate_id: int) -> list[str]:
    return list(session.scalars(sa.select(AggregateHost.host_id).where(AggregateHost.aggregate_id == aggregate_id)))


def _host_named(session: orm.Session, name: str) -> str:
    host_id = session.scalar(sa.select(Host.id).where(Host.name == name))
    if host_id is None:
        raise errors.NotFound(f"Compute host {name} could not be found.", resource="host", id=name)
    return host_id


def _shown(session: orm.Session, row: Aggregate) -> AggregateShown:
    names = session.scalars(sa.select(Host.name).join(AggregateHost, AggregateHost.host_id == Host.id)
                            .where(AggregateHost.aggregate_id == row.id).order_by(Host.number))
    return AggregateShown(row, tuple(names))


def _flush_name(session: orm.Session, name: Any) -> None:
    try:
        session.flush()
    except exc.IntegrityError as error:
        raise errors.NotUnique(f"Aggregate {name} already exists.", resource="aggregate", id=str(name)) from error
