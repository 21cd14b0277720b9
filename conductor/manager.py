"""The conductor's endpoint on the bus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conductor import (
    guest_passwords,
    guest_reports,
    heartbeats,
    progress,
    reconcile,
    released_volumes,
    volume_reconcile,
    volume_reports,
)
from conductor.engine.workers import Workers
from conductor.heartbeat_batches import HeartbeatBatches
from conductor.run import CloudAccess
from conductor.silent_leaders import SilentLeaders
from hostler.bus import open_to
from hostler.bus.senders import API, COMPUTE, VOLUME
from hostler.context import RequestContext
from hostler.resources.network.port_specs import missed_members


class ConductorManager:
    """Takes wake-ups from the api and reports from agents."""

    def __init__(self, cloud: CloudAccess, workers: Workers, living: Callable[[], list[str]] = list) -> None:
        """`living` returns the names of the conductors that live."""
        self._cloud = cloud
        self._conf = cloud.conf
        self._db = cloud.db
        self._workers = workers
        self._living = living
        self._heartbeats = HeartbeatBatches(cloud.db)
        self.silent_leaders = SilentLeaders(cloud, workers.submit)

    @open_to(API)
    def run_operation(self, _context: RequestContext, operation_id: str) -> None:
        """Queue an accepted operation."""
        self._workers.submit(operation_id)

    @open_to(COMPUTE)
    def heartbeat(self, _context: RequestContext, host: str, report: dict[str, Any]) -> dict[str, Any]:
        """Record a compute agent's report."""
        return {**heartbeats.record_heartbeat(self._db, host, report, self._heartbeats), "conductor": self._conf.host,
                "conductors": self._living()}

    @open_to(COMPUTE)
    def server_events(self, _context: RequestContext, host: str, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Record what happened to guests."""
        guest_reports.record_events(self._db, host, events)
        return {"conductor": self._conf.host}

    @open_to(COMPUTE)
    def volumes_released(self, context: RequestContext, host: str, released: list[dict[str, Any]]) -> dict[str, Any]:
        """Detach what guests let go of late."""
        for operation_id in released_volumes.accept_detachments(self._db, context, host, released):
            self._workers.submit(operation_id)
        return {"conductor": self._conf.host}

    @open_to(COMPUTE)
    def password_posted(self, context: RequestContext, host: str, server_id: str, password: str) -> dict[str, Any]:
        """Keep a guest's password."""
        return {"accepted": guest_passwords.keep(self._db, context, host, server_id, password)}

    @open_to(COMPUTE)
    def reconcile(self, _context: RequestContext, host: str, present: list[dict[str, Any]],
                  known_groups: dict[str, int] | None = None, asides: list[str] | None = None) -> dict[str, Any]:
        """Answer what a host should do about each server."""
        return reconcile.plan(self._cloud, host, present, known_groups, asides or ())

    @open_to(COMPUTE)
    def group_members(self, _context: RequestContext, host: str, known: dict[str, int | None]) -> dict[str, Any]:
        """Answer what a host has missed of large security groups."""
        with self._db.reading() as session:
            return {"groups": missed_members(session, known), "conductor": self._conf.host}

    @open_to(COMPUTE)
    def leader_silent(self, context: RequestContext, host: str, leader: str) -> None:
        """Judge a host that leads outside for routers."""
        self.silent_leaders.hear(context, host, leader)

    @open_to(VOLUME)
    def volume_heartbeat(self, _context: RequestContext, node: str, report: dict[str, Any]) -> dict[str, Any]:
        """Record a volume agent's report."""
        return {"accepted": volume_reports.record_heartbeat(self._db, node, report), "conductor": self._conf.host,
                "conductors": self._living()}

    @open_to(VOLUME)
    def volume_reconcile(self, _context: RequestContext, node: str, present: dict[str, Any]) -> dict[str, Any]:
        """Answer what a storage node should remove."""
        return volume_reconcile.plan(self._cloud, node, present)

    @open_to(COMPUTE, VOLUME)
    def report_progress(self, context: RequestContext, percent: int) -> bool:
        """Note how far an agent is."""
        return context.operation_id is None or progress.record_progress(
            self._db, context.operation_id, context.attempt, percent, agent=context.agent)
