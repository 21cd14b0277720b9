"""Fields of server lists that are not plain columns: derived states, zones, flavors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from api.core.server.rows import LOCKS, SERVERS
from hostler.db.models import Host, Server, Zone
from hostler.query.fields import Condition, Field, refuse
from hostler.query.resources import Resource, declare
from hostler.resources.server import states
from hostler.resources.server.status import STATUS_FILTER, kinds_showing

_HOST_NAME: Final = sa.select(Host.name).where(Host.id == SERVERS.c.host_id).correlate(SERVERS).scalar_subquery()


def _status(values: Sequence[str]) -> Condition:
    return sa.or_(sa.false(), *(_one_status(value.upper()) for value in values))


def _one_status(status: str) -> Condition:
    if status not in STATUS_FILTER:
        return sa.false()
    vm_states, kinds = STATUS_FILTER[status]
    known = SERVERS.c.vm_state.in_(vm_states)
    if kinds:
        return sa.and_(known, LOCKS.c.kind.in_(kinds))
    disguised = {kind for other, (_, kinds) in STATUS_FILTER.items() if kinds for kind in kinds
                 if set(vm_states) & set(STATUS_FILTER[other][0])}
    return sa.and_(known, sa.or_(LOCKS.c.kind.is_(None), LOCKS.c.kind.not_in(disguised))) if disguised else known


def _task_state(values: Sequence[str]) -> Condition:
    wanted = set(values)
    idle = LOCKS.c.kind.is_(None) if wanted & {"None", "none", ""} else sa.false()
    return sa.or_(LOCKS.c.kind.in_(kinds_showing(wanted)), idle)


def _power_state(values: Sequence[str]) -> Condition:
    names = [states.POWER_NAMES.get(int(value), "") if value.isascii() and value.isdigit() and len(value) < 10
             else value for value in values]
    if any(value not in states.POWER_NUMBERS for value in names):
        raise refuse("power_state", values[-1], "It is not a power state.")
    return SERVERS.c.power_state.in_(names)


def _zone(values: Sequence[str]) -> Condition:
    known = [value for value in values if "\x00" not in value]
    inside = sa.select(Host.id).join(Zone, Zone.id == Host.zone_id).where(Zone.name.in_(known))
    return sa.or_(SERVERS.c.host_id.in_(inside),
                  sa.and_(SERVERS.c.host_id.is_(None), SERVERS.c.requested_zone.in_(known)))


SERVER: Final[Resource] = declare(
    Server, {
        "status": Field(match=_status), "task_state": Field(LOCKS.c.kind, match=_task_state),
        "power_state": Field(SERVERS.c.power_state, match=_power_state),
        "zone": Field(SERVERS.c.requested_zone, match=_zone),
        "flavorid": Field(SERVERS.c.flavor["flavorid"].as_string()),
        "host_name": Field(sa.type_coerce(sa.func.coalesce(_HOST_NAME, ""), sa.String()))},
    source=SERVERS.outerjoin(LOCKS, LOCKS.c.resource_id == SERVERS.c.id))
