"""What compute agents report of their hosts: that they live, and what they offer. Of guests: `guest_reports`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc, orm

from conductor.heartbeat_batches import HeartbeatBatches, Report, write_one
from hostler import clock
from hostler.db.engine import Database
from hostler.db.models import Host, Zone
from hostler.db.moments import now
from hostler.resources.network import peers

LOG = logging.getLogger(__name__)

# Sizes that breathe (memory of a ballooned machine, a file system's): a change this small is none, or each report would
# make every claim in progress start again.
_FLUTTERING = frozenset({"ram_mib", "disk_gib"})
_TOLERANCE = 0.01
_TRIES = 5  # where many come at once


def record_heartbeat(db: Database, host: str, report: dict[str, Any],
                     batches: HeartbeatBatches | None = None) -> dict[str, Any]:
    """Note that a host lives and what it offers; registers it the first time.

    Returns {"accepted", "fence_generation"}: the generation is read with what says that the host lives, so that a host
    which hears the old one keeps its fence from being closed (`conductor.fencing`).

    A report that says nothing new is one statement, or a part of one by `batches`: thousands of hosts send them for
    ever.
    """
    wanted = _columns(report)
    digest, uptime_s = _digest(wanted), int(report.get("uptime_s", 0))
    generation = int(report.get("fence_generation") or 0)
    same = Report(host, digest, generation, uptime_s)
    if batches.write(same) if batches is not None else write_one(db, same):
        return {"accepted": True, "fence_generation": generation}
    with db.reading() as session:
        known = session.execute(sa.select(*(getattr(Host, name) for name in ("id", *wanted)))
                                .where(Host.name == host)).first()
    if known is None:
        return {"accepted": _register(db, host, report, wanted), "fence_generation": 0}
    changed = {name: value for name, value in wanted.items() if _differs(name, getattr(known, name), value)}
    seen: dict[str, Any] = {"last_seen_at": now(), "uptime_s": uptime_s, "report_digest": digest}
    if changed:
        LOG.info("host %s reports changes: %s", host, ", ".join(sorted(changed)))
        seen.update(changed, changed_at=now(), updated_at=clock.utcnow())
        if changed.keys() - {"healthy", "unhealthy_reason", "started_at", "connector", "self_fence_s",
                                       "servers_share"}:
            seen["generation"] = Host.generation + 1

    def work(session: orm.Session) -> int:
        session.execute(sa.update(Host).where(Host.id == known.id).values(**{"updated_at": Host.updated_at, **seen}))
        if "tunnel_ip" in changed:
            # Its peers take the new address when they reconcile, or with the next change of one of these networks.
            peers.host_changed(session, known.id)
        return session.scalars(sa.select(Host.fence_generation).where(Host.id == known.id)).one()

    return {"accepted": True, "fence_generation": db.write(work)}


def _digest(columns: dict[str, Any]) -> str:
    """Return what changes with each change that `_differs` sees; breathing sizes count in steps of the tolerance."""
    steps = {name: round(math.log(columns[name] or 1) / _TOLERANCE) for name in _FLUTTERING}
    return hashlib.sha256(json.dumps({**columns, **steps}, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _differs(name: str, known: Any, value: Any) -> bool:
    if name in _FLUTTERING and known:
        return bool(abs(value - known) > known * _TOLERANCE)
    return bool(known != value)


def _columns(report: dict[str, Any]) -> dict[str, Any]:
    ratios, reserved = report["ratios"], report["reserved"]
    reason = report.get("unhealthy_reason")
    return {
        "hypervisor_type": report["hypervisor_type"], "hypervisor_version": int(report["hypervisor_version"]),
        "hypervisor_hostname": report.get("hypervisor_hostname", ""), "host_ip": report["host_ip"],
        "tunnel_ip": report.get("tunnel_ip") or "",
        "arch": report.get("arch", "x86_64"), "cpu_info": report.get("cpu_info", {}),
        "traits": report.get("traits", []), "connector": report.get("connector", {}),
        "vcpus": report["vcpus"], "ram_mib": report["ram_mib"],
        "disk_gib": report["disk_gib"], "cpu_ratio": ratios["cpu"], "ram_ratio": ratios["ram"],
        "disk_ratio": ratios["disk"], "reserved_ram_mib": reserved["ram_mib"],
        "reserved_disk_gib": reserved["disk_gib"], "healthy": bool(report.get("healthy", True)),
        "unhealthy_reason": reason[:255] if reason else None,
        "started_at": clock.parse(report["started_at"]), "self_fence_s": int(report.get("self_fence_s", 0)),
        "servers_share": report.get("servers_share"),
    }


def _register(db: Database, host: str, report: dict[str, Any], values: dict[str, Any]) -> bool:
    def work(session: orm.Session) -> None:
        zone = zone_named(session, report.get("availability_zone") or "nova")
        highest = session.scalar(sa.select(sa.func.max(Host.number))) or 0
        session.add(Host(name=host, number=highest + 1, zone_id=zone.id, last_seen_at=now(),
                         uptime_s=int(report.get("uptime_s", 0)), **values))

    if not register(db, work):
        return False
    LOG.info("host %s registered in zone %s", host, report.get("availability_zone"))
    return True


def register(db: Database, work: Callable[[orm.Session], None]) -> bool:
    """Write what may be new, again when somebody else registered the same or another one in the same moment; returns
    whether it is written. If not, the next report finds it or tries again."""
    for _ in range(_TRIES):
        with contextlib.suppress(exc.IntegrityError):
            db.write(work)
            return True
    return False


def zone_named(session: orm.Session, name: str) -> Zone:
    """Return the zone of that name, made when there is none."""
    zone = session.scalar(sa.select(Zone).where(Zone.name == name))
    if zone is None:
        zone = Zone(name=name)
        session.add(zone)
        session.flush()
    return zone
