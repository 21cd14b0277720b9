"""Back ends as of one moment: what the scheduler reads of them, in one or two statements."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.compiled import execute_built
from hostler.db.models import Backend, VolumeNode, Zone
from hostler.resources.volume import backend_claims
from hostler.resources.volume.capabilities import stated
from scheduler.backend_uses import BackendUses

# A node that fell silent within this time may come back.
_MAY_RETURN = dt.timedelta(seconds=300)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendState:
    """One back end; `used_gib` is at least as new as `generation`. `silent` is what may be up again soon."""

    id: str
    name: str
    node: str
    zone: str
    driver: str
    generation: int
    capabilities: dict[str, Any]
    total_gib: float
    free_gib: float
    reserved_percent: int
    over_subscription: float
    used_gib: int
    up: bool
    silent: bool
    backup_store: str | None
    enabled: bool = True

    @property
    def room_gib(self) -> float:
        """How much one more volume may take here."""
        return backend_claims.room_gib(self, self.used_gib)

    def with_claim(self, gib: int) -> BackendState:
        """Return this back end after a claim."""
        return dataclasses.replace(self, used_gib=self.used_gib + gib)


# Built once, for every choice.
_BACKENDS = sa.select(
    Backend.id, Backend.name, Backend.driver, Backend.generation, Backend.capabilities, Backend.total_gib,
    Backend.free_gib, Backend.reserved_percent, Backend.over_subscription, Backend.healthy,
    sa.and_(Backend.enabled, VolumeNode.enabled).label("enabled"), VolumeNode.name.label("node"),
    VolumeNode.last_seen_at, VolumeNode.backup_store, Zone.name.label("zone")).join(
    VolumeNode, VolumeNode.id == Backend.node_id).join(Zone, Zone.id == VolumeNode.zone_id).order_by(Backend.id)


def read_backends(session: orm.Session, now: dt.datetime, down_time_s: float, uses: BackendUses, *,
                  afresh: bool = False) -> list[BackendState]:
    """Return every back end, in the order of ids; `afresh` ignores cached sums."""
    # Back ends before sums: a claim in between makes the sums newer than the generation, which then fails the claim
    # that builds on it; the other way round it would pass.
    rows = execute_built(session, _BACKENDS, {}).all()
    used = uses.look(session, {row.id: row.generation for row in rows}, afresh=afresh)
    return [_state(row, used[row.id], now, dt.timedelta(seconds=down_time_s)) for row in rows]


def _state(row: Any, used_gib: int, now: dt.datetime, down_time: dt.timedelta) -> BackendState:
    silence = now - row.last_seen_at if row.last_seen_at is not None else dt.timedelta.max
    in_service = row.enabled and row.healthy
    return BackendState(
        id=row.id, name=row.name, node=row.node, zone=row.zone, driver=row.driver, generation=row.generation,
        capabilities=stated(row.name, row.capabilities), total_gib=row.total_gib, free_gib=row.free_gib,
        reserved_percent=row.reserved_percent, over_subscription=row.over_subscription, used_gib=used_gib,
        up=in_service and silence <= down_time, silent=in_service and down_time < silence <= _MAY_RETURN,
        backup_store=row.backup_store, enabled=row.enabled)
