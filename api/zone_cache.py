"""The zones that volume services stand in, remembered for a while by each api process."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler.db.models import Backend, VolumeNode, Zone


class ZoneCache:
    """Zone → whether one of its volume services is enabled. Safe for use by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._zones: Mapping[str, bool] = {}
        self._read_at: float | None = None

    def get(self, conf: cfg.ConfigOpts, session: orm.Session) -> Mapping[str, bool]:
        """Return the zones as of at most `zone_cache_seconds` ago."""
        with self._lock:
            fresh = self._read_at is not None and time.monotonic() - self._read_at < conf.volume.zone_cache_seconds
            return self._zones if fresh else self._read(session)

    def refresh(self, session: orm.Session) -> Mapping[str, bool]:
        """Return the zones as of now."""
        with self._lock:
            return self._read(session)

    def _read(self, session: orm.Session) -> Mapping[str, bool]:
        # A node that has not said yet which back ends it has counts as it is itself.
        in_service = sa.and_(VolumeNode.enabled, sa.func.coalesce(Backend.enabled, sa.true()))
        rows = session.execute(
            sa.select(Zone.name, sa.func.max(sa.case((in_service, 1), else_=0)))
            .join(VolumeNode, VolumeNode.zone_id == Zone.id).outerjoin(Backend, Backend.node_id == VolumeNode.id)
            .group_by(Zone.name)).tuples()
        self._zones = {name: bool(flag) for name, flag in rows}
        self._read_at = time.monotonic()
        return self._zones
