"""Quota: counted from rows under the project's lock, in the transaction that adds the rows. There is no counter.

>>> claim(database, session, conf, project_id, {"instances": 2, "cores": 4, "ram": 1024})
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.db.engine import Database
from hostler.db.models import (
    Image,
    Network,
    Port,
    Project,
    QuotaLimit,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    ServerGroup,
    Subnet,
)

UNLIMITED = -1
SERVER_RESOURCES = ("instances", "cores", "ram")
# Resources that are rows of one table.
_TABLES: dict[str, Any] = {
    "networks": Network, "subnets": Subnet, "ports": Port, "security_groups": SecurityGroup,
    "security_group_rules": SecurityGroupRule, "server_groups": ServerGroup, "images": Image,
}
# Limits that bound one request or one parent, not a project's sum.
PER_ITEM = ("metadata_items", "key_pairs", "server_group_members")
RESOURCES = (*SERVER_RESOURCES, *_TABLES, *PER_ITEM)


def limits(session: orm.Session, conf: cfg.ConfigOpts, project_id: str) -> dict[str, int]:
    """Return every limit of a project: its own, else the configured default."""
    own = dict(session.execute(sa.select(QuotaLimit.resource, QuotaLimit.hard_limit)
                               .where(QuotaLimit.project_id == project_id)).tuples().all())
    return {resource: own.get(resource, conf.quota[resource]) for resource in RESOURCES}


def usage(session: orm.Session, project_id: str, resources: Iterable[str]) -> dict[str, int]:
    """Return what a project uses of `resources`, counted from its rows."""
    wanted = set(resources)
    used: dict[str, int] = {}
    if wanted & set(SERVER_RESOURCES):
        row = session.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(Server.vcpus), 0),
                      sa.func.coalesce(sa.func.sum(Server.ram_mib), 0))
            .where(Server.project_id == project_id, Server.deleted_at.is_(None))).one()
        used.update(zip(SERVER_RESOURCES, (int(value) for value in row), strict=True))
    for resource in wanted & set(_TABLES):
        model = _TABLES[resource]
        query = sa.select(sa.func.count()).select_from(model).where(model.project_id == project_id)
        if hasattr(model, "deleted_at"):
            query = query.where(model.deleted_at.is_(None))
        used[resource] = session.execute(query).scalar_one()
    return {resource: used[resource] for resource in wanted if resource in used}


def claim(db: Database, session: orm.Session, conf: cfg.ConfigOpts, project_id: str,
          wanted: Mapping[str, int]) -> None:
    """Hold the project's row and check that `wanted` more of each resource fits; the caller then adds the rows.

    Raises QuotaExceeded with the numbers.
    """
    db.lock_row(session, Project, Project.id == project_id)
    limit = limits(session, conf, project_id)
    used = usage(session, project_id, wanted)
    over = [name for name, amount in wanted.items()
            if amount > 0 and limit[name] != UNLIMITED and used[name] + amount > limit[name]]
    if over:
        raise errors.QuotaExceeded(
            overs=", ".join(over), requested=", ".join(str(wanted[name]) for name in over),
            used=", ".join(str(used[name]) for name in over), limit=", ".join(str(limit[name]) for name in over))
