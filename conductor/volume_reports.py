"""What storage nodes report: their life, their back ends, how far long work is."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.heartbeats import register, zone_named
from hostler import clock
from hostler.db.engine import Database
from hostler.db.models import Backend, VolumeNode
from hostler.db.moments import now

LOG = logging.getLogger(__name__)

# What a claim reckons with: when it changes, claims in progress look again.
_RECKONED = frozenset({"total_gib", "reserved_percent", "over_subscription", "capabilities"})
_NOT_REPORTED = "Its node does not offer this back end any more."


def record_heartbeat(db: Database, node: str, report: dict[str, Any]) -> bool:
    """Note that a storage node lives and what its back ends offer; registers both the first time.

    A back end that is no longer reported keeps its record (volumes may be on it) and becomes unhealthy. Returns
    whether the report was taken.
    """
    return register(db, lambda session: _record(session, node, report))


def _record(session: orm.Session, name: str, report: dict[str, Any]) -> None:
    values = {"started_at": clock.parse(report["started_at"]), "backup_store": report.get("backup_store")}
    node = session.scalar(sa.select(VolumeNode).where(VolumeNode.name == name))
    if node is None:
        zone = zone_named(session, report.get("availability_zone") or "nova")
        node = VolumeNode(name=name, zone_id=zone.id, last_seen_at=now(), **values)
        session.add(node)
        session.flush()
        LOG.info("storage node %s registered in zone %s", name, zone.name)
    else:
        changed = any(getattr(node, key) != value for key, value in values.items())
        session.execute(sa.update(VolumeNode).where(VolumeNode.id == node.id).values(
            last_seen_at=now(), updated_at=clock.utcnow() if changed else VolumeNode.updated_at, **values))
    # How the node reaches volumes of others is kept with what its back ends can do.
    about_node = {"connector": report["connector"]} if report.get("connector") else {}
    _record_backends(session, node, [
        {**entry, "capabilities": {**(entry.get("capabilities") or {}), **about_node}}
        for entry in report.get("backends", [])])


def _record_backends(session: orm.Session, node: VolumeNode, reported: list[dict[str, Any]]) -> None:
    known = {backend.name: backend for backend in session.scalars(
        sa.select(Backend).where(Backend.node_id == node.id).order_by(Backend.id))}
    for entry in reported:
        wanted = _columns(entry)
        backend = known.pop(entry["name"], None)
        if backend is None:
            LOG.info("back end %s@%s registered (%s)", node.name, entry["name"], entry["driver"])
            session.add(Backend(name=entry["name"], node_id=node.id, **wanted))
        else:
            _update(session, node, backend, wanted)
    for backend in known.values():
        _update(session, node, backend, {"healthy": False, "unhealthy_reason": _NOT_REPORTED})


def _columns(entry: dict[str, Any]) -> dict[str, Any]:
    reason = entry.get("unhealthy_reason")
    return {
        "driver": entry["driver"], "capabilities": entry.get("capabilities") or {},
        "total_gib": float(entry.get("total_gib") or 0), "free_gib": float(entry.get("free_gib") or 0),
        "reserved_percent": int(entry.get("reserved_percent") or 0),
        "over_subscription": float(entry.get("over_subscription") or 1.0),
        "healthy": bool(entry.get("healthy", True)), "unhealthy_reason": reason[:255] if reason else None}


def _update(session: orm.Session, node: VolumeNode, backend: Backend, wanted: dict[str, Any]) -> None:
    if not wanted.get("healthy", True):
        # The size that an unhealthy back end reports is not to be trusted.
        wanted = {key: wanted[key] for key in ("healthy", "unhealthy_reason")}
    changed = {key: value for key, value in wanted.items() if getattr(backend, key) != value}
    if not changed:
        return
    if "healthy" in changed:
        LOG.warning("back end %s@%s is %s", node.name, backend.name,
                    "healthy again" if changed["healthy"] else f"unhealthy: {wanted['unhealthy_reason']}")
    values: dict[str, Any] = {**changed, "updated_at": clock.utcnow()}
    if changed.keys() & _RECKONED:
        values["generation"] = Backend.generation + 1
    session.execute(sa.update(Backend).where(Backend.id == backend.id).values(**values))
