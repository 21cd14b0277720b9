"""Which availability zone a volume goes to, and which zones there are for volumes.

The zone is the one asked for; else that of the snapshot's volume; else of the source volume; else the configured
`default_availability_zone`; else `storage_availability_zone`. A zone is known when a volume service is in it or
when it is one of the two configured ones. An unknown one makes the api look again; if it stays unknown the volume goes
to the default zone (`allow_availability_zone_fallback`) or is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from sqlalchemy import orm

from api.services import Services
from hostler import errors

LOG = logging.getLogger(__name__)

# Extra spec of a volume type that may be used in some zones only: their names, separated by commas.
TYPE_ZONES: Final = "RESKEY:availability_zones"


def list_availability_zones(services: Services, session: orm.Session, *, enable_cache: bool = False
                            ) -> dict[str, bool]:
    """Return every zone volumes may be asked for and whether it is available (a service there is enabled).

    The two configured zones are always there. With `enable_cache` the answer may be `zone_cache_seconds` old.
    """
    found = (services.zones.get(services.conf, session) if enable_cache else services.zones.refresh(session))
    return {**dict.fromkeys(_configured(services), True), **found}


def default_zone(services: Services) -> str:
    """Return the zone of volumes whose request and source name none."""
    options = services.conf.volume
    return str(options.default_availability_zone or options.storage_availability_zone)


def zone_for_new_volume(services: Services, session: orm.Session, wanted: str | None = None, *,
                        source_zone: str | None = None, type_zones: Sequence[str] | None = None) -> str:
    """Return the zone of a new volume; raises Invalid for one that is not known, unless fallback is configured.

    `source_zone` is the zone of what it is made from; `type_zones` are those its type may be used in (None: all).
    """
    allowed = _allowed(list_availability_zones(services, session, enable_cache=True), type_zones)
    zone = wanted or source_zone or (None if type_zones is not None else default_zone(services))
    if zone is None:
        return _of_type(services, allowed or _allowed(list_availability_zones(services, session), type_zones),
                        type_zones or ())
    if zone in allowed or zone in _allowed(list_availability_zones(services, session), type_zones):
        return zone
    if not services.conf.volume.allow_availability_zone_fallback:
        raise errors.InvalidZone(zone=zone)
    fallback = default_zone(services)
    LOG.warning("Availability zone '%s' is known to no volume service, falling back to '%s'", zone, fallback)
    return fallback


def zones_of_type(extra_specs: dict[str, str]) -> list[str] | None:
    """Return the zones a volume type may be used in, or None for all."""
    text = extra_specs.get(TYPE_ZONES)
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _configured(services: Services) -> list[str]:
    options = services.conf.volume
    return [zone for zone in (options.default_availability_zone, options.storage_availability_zone) if zone]


def _allowed(known: dict[str, bool], type_zones: Sequence[str] | None) -> set[str]:
    return set(known) if type_zones is None else set(known) & set(type_zones)


def _of_type(services: Services, allowed: set[str], type_zones: Sequence[str]) -> str:
    if not allowed:
        raise errors.Invalid(reason="The volume type may be used in the availability zones "
                                    f"{', '.join(type_zones)} only, and none of them is known.")
    default = default_zone(services)
    return default if default in allowed else min(allowed)
