"""Filters of server lists: one row a filter, from the values asked for to a condition on the server's row.

Names that the published API matches as regular expressions are matched by SQL patterns: anchors, `.` and `.*` are
understood, every other special character is refused, so that no caller can make the database think for minutes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from api.core.server.rows import LOCKS, SERVERS
from hostler import clock, errors, ids
from hostler.db.models import FixedIp, Host, Port, ServerTag, Zone
from hostler.resources.server import states
from hostler.resources.server.status import STATUS_FILTER, kinds_showing

Condition = sa.ColumnElement[bool]
Maker = Callable[[str, Sequence[str]], Condition]


def bad(name: str, value: str, reason: str) -> errors.InvalidField:
    """Return the error for a filter value that makes no sense."""
    return errors.InvalidField(field=name, value=value[:80], reason=reason)


def like_pattern(name: str, text: str) -> str:
    """Return the LIKE pattern (escape `!`) of a regular expression from the safe subset; raises InvalidField.

    >>> like_pattern("name", "^web-.*1")
    'web-%1%'
    """
    head, tail = text.startswith("^"), text.endswith("$") and not text.endswith("\\$")
    body = text[1 if head else 0:len(text) - 1 if tail else len(text)]
    out, index = [], 0
    while index < len(body):
        char = body[index]
        if char == "\\" and index + 1 < len(body) and not body[index + 1].isalnum():
            index += 1
            out.append(_escape(body[index]))
        elif body.startswith(".*", index) or body.startswith(".+", index):
            out.append("%" if body[index + 1] == "*" else "_%")
            index += 1
        elif char == ".":
            out.append("_")
        elif char in "*+?[](){}|^$\\":
            raise bad(name, text, "Only the anchors ^ and $, '.', '.*' and '.+' are supported in patterns.")
        else:
            out.append(_escape(char))
        index += 1
    return f"{'' if head else '%'}{''.join(out)}{'' if tail else '%'}"


def _escape(char: str) -> str:
    return "!" + char if char in "!%_" else char


def _like(column: Any, name: str, values: Sequence[str]) -> Condition:
    return sa.or_(*(column.like(like_pattern(name, value), escape="!") for value in values))


def _matches(column: Any) -> Maker:
    return lambda name, values: _like(column, name, values)


def _equals(column: Any) -> Maker:
    return lambda _name, values: column.in_(list(values))


def _id(column: Any) -> Maker:
    return lambda _name, values: column.in_([ids.canonical(value) or value for value in values])


def _boolean(column: Any) -> Maker:
    def make(name: str, values: Sequence[str]) -> Condition:
        return column.is_(truth(name, values[-1]))
    return make


def truth(name: str, value: str) -> bool:
    """Return what a yes-or-no text means; raises InvalidField."""
    lowered = value.strip().lower()
    if lowered in ("1", "t", "true", "on", "y", "yes"):
        return True
    if lowered in ("0", "f", "false", "off", "n", "no", ""):
        return False
    raise bad(name, value, "It must be true or false.")


def moment(name: str, value: str) -> dt.datetime:
    """Return the time an ISO 8601 text names; raises InvalidField."""
    try:
        return clock.parse(value.replace(" ", "+") if value.count(" ") == 1 and "T" in value else value)
    except ValueError:
        raise bad(name, value, "It must be a time as ISO 8601 writes it.") from None


def _at(column: Any) -> Maker:
    def make(name: str, values: Sequence[str]) -> Condition:
        second = moment(name, values[-1]).replace(microsecond=0)
        return sa.and_(column >= second, column < second + dt.timedelta(seconds=1))
    return make


def _since(name: str, values: Sequence[str]) -> Condition:
    return SERVERS.c.updated_at >= moment(name, values[-1])


def _before(name: str, values: Sequence[str]) -> Condition:
    # The published filter counts the named second in.
    return SERVERS.c.updated_at <= moment(name, values[-1])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _number(column: Any) -> Maker:
    def make(name: str, values: Sequence[str]) -> Condition:
        if not all(_is_number(value) for value in values):
            raise bad(name, values[-1], "It must be a whole number.")
        return column.in_([int(value) for value in values])
    return make


def _status(_name: str, values: Sequence[str]) -> Condition:
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


def _task_state(_name: str, values: Sequence[str]) -> Condition:
    wanted = set(values)
    idle = LOCKS.c.kind.is_(None) if wanted & {"None", "none", ""} else sa.false()
    return sa.or_(LOCKS.c.kind.in_(kinds_showing(wanted)), idle)


def _power_state(name: str, values: Sequence[str]) -> Condition:
    names = [states.POWER_NAMES.get(int(value), "") if _is_number(value) else value for value in values]
    if any(value not in states.POWER_NUMBERS for value in names):
        raise bad(name, values[-1], "It is no power state.")
    return SERVERS.c.power_state.in_(names)


def _on_hosts(column: Any) -> Maker:
    def make(_name: str, values: Sequence[str]) -> Condition:
        return SERVERS.c.host_id.in_(sa.select(Host.id).where(column.in_(list(values))))
    return make


def _zone(_name: str, values: Sequence[str]) -> Condition:
    inside = sa.select(Host.id).join(Zone, Zone.id == Host.zone_id).where(Zone.name.in_(list(values)))
    return sa.or_(SERVERS.c.host_id.in_(inside),
                  sa.and_(SERVERS.c.host_id.is_(None), SERVERS.c.requested_zone.in_(list(values))))


def _flavor(_name: str, values: Sequence[str]) -> Condition:
    return SERVERS.c.flavor["flavorid"].as_string().in_(list(values))


def _address(family: str) -> Maker:
    def make(name: str, values: Sequence[str]) -> Condition:
        return sa.exists().where(Port.server_id == SERVERS.c.id, FixedIp.port_id == Port.id,
                                 FixedIp.ip_address.like(family), _like(FixedIp.ip_address, name, values))
    return make


def _has_tag(tag: str) -> Condition:
    return sa.exists().where(ServerTag.server_id == SERVERS.c.id, ServerTag.tag == tag)


def _split(values: Sequence[str]) -> list[str]:
    return [tag for value in values for tag in value.split(",") if tag]


def _tags(combine: Callable[..., Condition], *, negate: bool) -> Maker:
    def make(_name: str, values: Sequence[str]) -> Condition:
        condition = combine(*(_has_tag(tag) for tag in _split(values)))
        return sa.not_(condition) if negate else condition
    return make


def _locked_by(_name: str, values: Sequence[str]) -> Condition:
    return SERVERS.c.locked.is_(bool(set(values) & {"owner", "admin"}))


def _constant(current: str) -> Maker:
    """Servers of this cloud have one value only: the filter keeps all or none."""
    return lambda _name, values: sa.true() if current in values else sa.false()


FILTERS: Final[Mapping[str, Maker]] = {
    "name": _matches(SERVERS.c.name), "display_name": _matches(SERVERS.c.name),
    "description": _matches(SERVERS.c.description), "display_description": _matches(SERVERS.c.description),
    "hostname": _matches(SERVERS.c.hostname), "key_name": _matches(SERVERS.c.key_name),
    "reservation_id": _equals(SERVERS.c.reservation_id), "uuid": _id(SERVERS.c.id),
    "project_id": _id(SERVERS.c.project_id), "user_id": _id(SERVERS.c.user_id),
    "image": _id(SERVERS.c.image_id), "flavor": _flavor, "status": _status,
    "vm_state": _equals(SERVERS.c.vm_state), "task_state": _task_state, "power_state": _power_state,
    "host": _on_hosts(Host.name), "node": _on_hosts(Host.hypervisor_hostname), "availability_zone": _zone,
    "ip": _address("%.%"), "ip6": _address("%:%"), "launch_index": _number(SERVERS.c.launch_index),
    "launched_at": _at(SERVERS.c.launched_at), "terminated_at": _at(SERVERS.c.deleted_at),
    "created_at": _at(SERVERS.c.created_at), "changes-since": _since, "changes-before": _before,
    "config_drive": _boolean(SERVERS.c.config_drive), "locked": _boolean(SERVERS.c.locked), "locked_by": _locked_by,
    "tags": _tags(sa.and_, negate=False), "tags-any": _tags(sa.or_, negate=False),
    "not-tags": _tags(sa.and_, negate=True), "not-tags-any": _tags(sa.or_, negate=True),
    "kernel_id": _constant(""), "ramdisk_id": _constant(""), "root_device_name": _constant("/dev/vda"),
    "access_ip_v4": _matches(SERVERS.c.access_ip_v4), "access_ip_v6": _matches(SERVERS.c.access_ip_v6),
    "auto_disk_config": _boolean(SERVERS.c.auto_disk_config),
    "progress": _constant("0"),
}


def condition_of(name: str, values: Sequence[str]) -> Condition:
    """Return the condition for one filter; raises InvalidField for a value that makes no sense."""
    return FILTERS[name](name, values)
