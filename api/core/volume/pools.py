"""Pools: what each back end offers and holds, for administrators. A back end has one pool, named after it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.fleet.hosts import silent_before
from api.core.volume.services import is_up
from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Backend, Volume, VolumeNode, VolumeType, Zone
from hostler.resources.volume import backend_claims
from hostler.resources.volume.capabilities import stated


@dataclasses.dataclass(frozen=True)
class Pool:
    """A back end with what is counted for it; `used_gib` is what its volumes and snapshots may grow to."""

    name: str
    backend: Backend
    zone: str
    used_gib: int
    volumes: int
    up: bool
    seen_at: dt.datetime | None


def host_name(node: str, backend: str) -> str:
    """Return the name of a back end's pool: `node@backend#backend`.

    >>> host_name("store1", "fast")
    'store1@fast#fast'
    """
    return f"{node}@{backend}#{backend}"


def list_pools(services: Services, context: RequestContext, *, name: str | None = None,
               volume_type: str | None = None) -> list[Pool]:
    """Return the pools, all or one by name, or those whose capabilities equal a type's plain extra specs.

    Raises NotFound for a type that does not exist.
    """
    services.policy.check(context, "scheduler_extension:scheduler_stats:get_pools")
    with services.db.reading() as session:
        wanted = _plain_specs(session, volume_type) if volume_type is not None else {}
        pools = _read(services, session)
    return [pool for pool in pools if name in (None, pool.name) and _offers(pool, wanted)]


def _read(services: Services, session: orm.Session) -> list[Pool]:
    silent = silent_before(services)
    used, counts = backend_claims.used_gib(session), _counts(session)
    rows = session.execute(
        sa.select(Backend, VolumeNode, Zone.name).join(VolumeNode, VolumeNode.id == Backend.node_id)
        .join(Zone, Zone.id == VolumeNode.zone_id).order_by(VolumeNode.name, Backend.name)).tuples()
    return [Pool(host_name(node.name, backend.name), backend, zone, used.get(backend.id, 0),
                 counts.get(backend.id, 0), is_up(node, silent), node.last_seen_at)
            for backend, node, zone in rows]


def _counts(session: orm.Session) -> dict[str, int]:
    query = sa.select(Volume.backend_id, sa.func.count()).where(
        Volume.deleted_at.is_(None), Volume.backend_id.is_not(None)).group_by(Volume.backend_id)
    return {str(backend_id): count for backend_id, count in session.execute(query).tuples()}


def _plain_specs(session: orm.Session, volume_type: str) -> Mapping[str, Any]:
    row = session.scalars(sa.select(VolumeType).where(sa.or_(VolumeType.name == volume_type,
                                                             VolumeType.id == volume_type))).first()
    if row is None:
        raise errors.NotFound(f"Volume type {volume_type[:80]} could not be found.", resource="volume_type",
                              id=volume_type)
    return {key: value for key, value in row.extra_specs.items() if ":" not in key}


def _offers(pool: Pool, wanted: Mapping[str, Any]) -> bool:
    offered = stated(pool.backend.name, pool.backend.capabilities)
    return all(str(offered.get(key, "")).lower() == str(value).lower() for key, value in wanted.items())


def show_backend(services: Services, context: RequestContext, host: str) -> Pool:
    """Return one back end by `node@backend`, or a node's only one by the node's name; raises NotFound."""
    services.policy.check(context, "volume_extension:capabilities")
    asked = host.partition("#")[0]
    with services.db.reading() as session:
        pools = _read(services, session)
    found = [pool for pool in pools if asked in (pool.name.partition("#")[0], pool.name.partition("@")[0])]
    if len(found) != 1:
        raise errors.NotFound(f"Can't find service: {host[:80]}", resource="service", id=host)
    return found[0]
