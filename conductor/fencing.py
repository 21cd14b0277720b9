"""Whether a host that is down can still write the disks of its guests.

Silence proves nothing: a host may be cut off from the control plane and run its guests all the same. Before anything
else opens one of their disks, one of these must hold:

- somebody vouches for it: the host was forced down by hand, or `[compute] fence_command` succeeded;
- the host has stopped its guests by itself. Its watchdog (`compute.watchdog`) kills them `self_fence_s` after the
  sending of the last report that was answered. `last_seen_at` was written after that sending, so once that long and a
  margin have passed since `last_seen_at`, they are dead. Only what the host itself reported counts as `self_fence_s`;
- nothing is shared: the server has no volumes, and no other host sees its host's directory of servers.

What is decided here could be overtaken by a report of the host. So the decision moves the host's `fence_generation`
in the transaction that checks that the host is down, and every answer to a report carries it: a host that hears a
higher one than it knew first stops its guests, and starts them only when reconciliation says so
(`compute.self_fence`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import Host, VolumeAttachment
from hostler.db.moments import now, read_now

# What a host may take, past the end of its time, to kill its guests: two looks of its watchdog, the patience with an
# agent that hangs, and a start that libvirt had begun.
MARGIN_S: Final = 10.0


@dataclasses.dataclass(frozen=True)
class Danger:
    """What a down host may still do; `wait_s` is how long, None when nothing but help from outside ends it."""

    reason: str
    wait_s: float | None


def is_down(host: Host, present: dt.datetime, down_time_s: float) -> bool:
    """Return whether a host counts as down: silent for that long, or forced down."""
    return host.forced_down or silence_s(host, present) > down_time_s


def silence_s(host: Host, present: dt.datetime) -> float:
    """Return the seconds since a host's last report."""
    return float("inf") if host.last_seen_at is None else (present - host.last_seen_at).total_seconds()


def shares_disks(session: orm.Session, server_id: str, host: Host) -> bool:
    """Return whether other hosts can open any disk of a server."""
    volumes = sa.exists().where(VolumeAttachment.server_id == server_id)
    others = sa.exists().where(Host.servers_share == host.servers_share, Host.id != host.id)
    return bool(session.scalar(sa.select(sa.or_(volumes, others) if host.servers_share else volumes)))


def danger_of(host: Host, present: dt.datetime) -> Danger | None:
    """Return what a down host may still do to shared disks; None when it is fenced."""
    if host.forced_down:
        return None
    if not host.self_fence_s:
        return Danger(f"host {host.name} is silent and may still run its guests. Switch it off and force its service "
                      "down, or set [compute] self_fence_after or fence_command", None)
    left_s = host.self_fence_s + MARGIN_S - silence_s(host, present)
    return Danger(f"host {host.name} has {left_s:.0f} s left to stop its guests", left_s) if left_s > 0 else None


def close(session: orm.Session, host_id: str, down_time_s: float) -> bool:
    """Move a host's fence generation if it is still down; returns whether it is."""
    result = session.execute(sa.update(Host).where(
        Host.id == host_id, sa.or_(Host.forced_down, Host.last_seen_at.is_(None),
                                   Host.last_seen_at < now(-down_time_s))).values(
        fence_generation=Host.fence_generation + 1, updated_at=Host.updated_at))
    return bool(result.rowcount)  # type: ignore[attr-defined]


def load(session: orm.Session, host_id: str) -> tuple[Host, dt.datetime]:
    """Return a host, and the present on the database's clock."""
    return session.get_one(Host, host_id), read_now(session)
