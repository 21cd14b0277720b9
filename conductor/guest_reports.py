"""What hosts report of their guests, on the records: servers that no operation holds follow their guests.

A report is about a moment that has passed, and a conductor may have slept with it. So it names the revision of the
server that the host knew when it looked: one from before an operation changed the guest is old, and changes nothing.
It also has a number of its host (`hostler.agent.sequence`), which orders reports with no operation between them. A look
covers all guests, so its number is kept once, with the host; that of an event is kept with its server. An agent of an
earlier release numbers nothing; its reports are taken as they come.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.db.engine import Database
from hostler.db.models import Host, Lock, Server
from hostler.resources.server import states
from hostler.resources.server.moves import move

LOG = logging.getLogger(__name__)

# What each event makes of a server: (vm_state it must be in, the new one).
_EVENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "started": ((states.STOPPED, states.PAUSED, states.SUSPENDED), states.ACTIVE),
    # libvirt tells a start as resumed, then started; the agent passes the first of two that say the same on.
    "resumed": ((states.STOPPED, states.PAUSED, states.SUSPENDED), states.ACTIVE),
    "stopped": ((states.ACTIVE, states.PAUSED), states.STOPPED),
    "crashed": ((states.ACTIVE, states.PAUSED), states.STOPPED),
    "removed": ((states.ACTIVE, states.PAUSED), states.STOPPED),
    "paused": ((states.ACTIVE,), states.PAUSED),
    "suspended": ((states.ACTIVE,), states.SUSPENDED),
}
_EVENT_OF_POWER = {"running": "started", "paused": "paused", "shutdown": "stopped", "crashed": "crashed",
                   "suspended": "suspended"}


@dataclasses.dataclass(frozen=True)
class Seen:
    """A guest as its host saw it; `at` is None for a poll, which is not an event."""

    server_id: str
    event: str | None
    power_state: str
    revision: int
    number: int
    at: dt.datetime | None = None


def record_events(db: Database, host: str, events: list[dict[str, Any]]) -> None:
    """Bring records up to what a host saw happen; of several events of one server the last counts."""
    latest = {event["server_id"]: Seen(event["server_id"], event["event"], event["power_state"], event["revision"],
                                       event.get("number", 0), clock.parse(event["at"])) for event in events}
    db.write(lambda session: _follow(session, host, latest.values()))


def record_look(db: Database, host: str, present: Iterable[dict[str, Any]]) -> None:
    """Bring records up to what a host found when it looked at its guests."""
    seen = [Seen(entry["server_id"], _EVENT_OF_POWER[entry["power_state"]], entry["power_state"], entry["revision"],
                 entry.get("number", 0)) for entry in present if entry["power_state"] in _EVENT_OF_POWER]
    if seen:
        db.write(lambda session: _take_look(session, host, seen))


def _take_look(session: orm.Session, host: str, seen: list[Seen]) -> None:
    number = max(one.number for one in seen)
    _follow(session, host, seen)
    if number:
        session.execute(sa.update(Host).where(Host.name == host, Host.look_number < number).values(
            look_number=number, updated_at=Host.updated_at))


def _follow(session: orm.Session, host: str, reports: Iterable[Seen]) -> None:
    by_id = {seen.server_id: seen for seen in reports}
    rows = session.execute(
        sa.select(Server.id, Server.vm_state, Server.power_state, Server.guest_revision, Server.launched_at,
                  Server.event_number, Host.look_number)
        .join(Host, Host.id == Server.host_id)
        .where(Server.id.in_(list(by_id)), Host.name == host, Server.deleted_at.is_(None),
               Server.id.not_in(sa.select(Lock.resource_id))).order_by(Server.id)).all()
    for row in rows:
        seen = by_id[row.id]
        if _is_older(seen, row):
            LOG.info("server %s is left %s: %s on its host was before its last operation or report", row.id,
                     row.vm_state, seen.power_state)
        else:
            _apply(session, row, seen)


def _is_older(seen: Seen, row: Any) -> bool:
    if seen.revision < row.guest_revision or 0 < seen.number < max(row.event_number, row.look_number):
        return True
    return row.launched_at is not None and seen.at is not None and seen.at < row.launched_at


def _apply(session: orm.Session, row: Any, seen: Seen) -> None:
    news = row.power_state != seen.power_state
    old, new = _EVENTS.get(seen.event or "", ((), row.vm_state))
    unheld = [Server.id.not_in(sa.select(Lock.resource_id)), Server.guest_revision <= seen.revision]
    if seen.number:
        unheld.append(Server.event_number <= seen.number)
    if seen.at is not None:
        session.execute(sa.update(Server).where(Server.id == row.id, *unheld).values(
            event_number=seen.number, updated_at=Server.updated_at))
    if row.vm_state in old:
        if move(session, row.id, new, {"power_state": seen.power_state}, only_from=(row.vm_state,), where=unheld):
            LOG.info("server %s is %s now (%s on its host)", row.id, new, seen.event)
        return
    if news and row.vm_state != new:
        LOG.info("server %s stays %s: %s on its host does not make it %s", row.id, row.vm_state, seen.event, new)
    if news:
        move(session, row.id, None, {"power_state": seen.power_state}, where=unheld)
