"""Availability zones: which there are for servers, and for administrators the tree zone → host → service, in which the
storage nodes stand, too, each back end a host of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.fleet.services import INTERNAL_ZONE, ServiceShown, all_services
from api.core.volume.services import VolumeServiceShown, volume_services
from api.services import Services
from hostler.context import RequestContext
from hostler.db.models import Zone

_POLICY = "os_compute_api:os-availability-zone:"


@dataclasses.dataclass(frozen=True)
class ZoneShown:
    """A zone; it is available (to servers) when one of its services of compute or control is enabled."""

    name: str
    available: bool
    services: tuple[ServiceShown | VolumeServiceShown, ...]


def list_zones(services: Services, context: RequestContext, *, detailed: bool) -> list[ZoneShown]:
    """Return the zones that hold hosts, by name; with details the zone of the control services, too."""
    services.policy.check(context, _POLICY + ("detail" if detailed else "list"))
    zones: dict[str, list[ServiceShown | VolumeServiceShown]] = {}
    with services.db.reading() as session:
        for service in all_services(services, session):
            if detailed or service.zone != INTERNAL_ZONE:
                zones.setdefault(service.zone, []).append(service)
        for storage in volume_services(services, session) if detailed else ():
            zones.setdefault(storage.zone, []).append(storage)
    return [ZoneShown(name, any(service.enabled for service in members if isinstance(service, ServiceShown)),
                      tuple(members)) for name, members in sorted(zones.items())]


def ensure_zone(session: orm.Session, name: str) -> Any:
    """Return the id of the zone called `name`, which is made when it does not exist."""
    find = sa.select(Zone.id).where(Zone.name == name)
    zone_id = session.scalar(find)
    if zone_id is not None:
        return zone_id
    try:
        with session.begin_nested():
            zone = Zone(name=name)
            session.add(zone)
            session.flush()
        return zone.id
    except exc.IntegrityError:
        return session.scalar(find)  # another request has just made it
