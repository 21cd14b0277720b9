"""Quota: counted from rows under the project's lock, in the transaction that adds the rows. There is no counter.

>>> claim(database, session, conf, project_id, {"instances": 2, "cores": 4, "ram": 1024})
>>> claim(database, session, conf, project_id, of_type("fast", {"volumes": 1, "gigabytes": 20}))

Volumes and snapshots share `gigabytes`; a volume counts there with `claimed_gib`. Volume types may have limits of
their own (`volumes_<type>`, `gigabytes_<type>`, `snapshots_<type>`), which are unlimited unless there is a row.

A project's limit is its own, else that of the class `default`, which administrators may set, else the configured one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from hostler import errors
from hostler.db.compiled import execute_built
from hostler.db.engine import Database
from hostler.db.models import (
    AddressGroup,
    AddressScope,
    Backup,
    FloatingIp,
    Image,
    Migration,
    Network,
    Port,
    Project,
    QosPolicy,
    QuotaLimit,
    RbacPolicy,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Server,
    ServerGroup,
    Snapshot,
    Subnet,
    SubnetPool,
    Volume,
    VolumeType,
)
from hostler.images import statuses
from hostler.resources.server import states as server_states

UNLIMITED = -1
# Who holds the limits of the class `default`: no project, since their ids are UUIDs.
DEFAULTS = "default"
SERVER_RESOURCES = ("instances", "cores", "ram")
VOLUME_RESOURCES = ("volumes", "gigabytes", "snapshots", "backups", "backup_gigabytes")
TYPE_RESOURCES = ("volumes", "gigabytes", "snapshots")  # of each volume type, as <resource>_<type>
# Resources that are rows of one table.
_TABLES: dict[str, Any] = {
    "networks": Network, "subnets": Subnet, "ports": Port, "security_groups": SecurityGroup,
    "security_group_rules": SecurityGroupRule, "server_groups": ServerGroup, "images": Image,
    "routers": Router, "floatingips": FloatingIp, "rbac_policies": RbacPolicy,
    "subnetpools": SubnetPool, "address_scopes": AddressScope, "address_groups": AddressGroup,
    "qos_policies": QosPolicy,
}
IMAGE_DATA_RESOURCES = ("image_size_total", "image_count_uploading")
# Limits that bound one request or one parent, not a project's sum.
PER_ITEM = ("metadata_items", "key_pairs", "server_group_members", "per_volume_gigabytes", "application_credentials",
            "volume_attachments")
RESOURCES = (*SERVER_RESOURCES, *_TABLES, *IMAGE_DATA_RESOURCES, *VOLUME_RESOURCES, *PER_ITEM)
# Limits that bound nothing, with their defaults: there are no groups of volumes, files are not injected, and addresses
# are bounded by the network's quota. They are kept, since clients send whole sets and compare what they read back.
NOMINAL = {"groups": 0, "fixed_ips": UNLIMITED, "floating_ips": UNLIMITED, "injected_files": 0,
           "injected_file_content_bytes": 0, "injected_file_path_bytes": 0}
STORAGE = (*VOLUME_RESOURCES, "per_volume_gigabytes", "groups")
_OF_A_TYPE = tuple(f"{resource}_" for resource in TYPE_RESOURCES)


def of_type(type_name: str | None, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return `wanted` with what it counts as for its volume type, when it has one."""
    named = {f"{resource}_{type_name}": amount for resource, amount in wanted.items() if resource in TYPE_RESOURCES}
    return {**wanted, **(named if type_name is not None else {})}


def limits(session: orm.Session, conf: cfg.ConfigOpts, project_id: str) -> dict[str, int]:
    """Return every limit of a project, or of one without limits of its own (`DEFAULTS`)."""
    return _limits(conf, execute_built(session, _LIMITS, {"project": project_id}).tuples())


def _limits(conf: cfg.ConfigOpts, rows: Iterable[Any]) -> dict[str, int]:
    stored: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for holder, resource, limit in rows:
        stored[holder == DEFAULTS][resource] = limit
    held = {**stored[True], **stored[False]}
    return {**{resource: held.get(resource, conf.quota[resource]) for resource in RESOURCES},
            **{resource: held.get(resource, amount) for resource, amount in NOMINAL.items()},
            **{resource: limit for resource, limit in held.items() if resource.startswith(_OF_A_TYPE)}}


def usage(session: orm.Session, project_id: str, resources: Iterable[str]) -> dict[str, int]:
    """Return what a project uses of `resources`, counted from its rows."""
    wanted = set(resources)
    used: dict[str, int] = {}
    if wanted & set(SERVER_RESOURCES):
        used.update(zip(SERVER_RESOURCES, _server_usage(session, project_id), strict=True))
    for resource in wanted & set(_TABLES):
        used[resource] = session.execute(_COUNTS[resource], {"project": project_id}).scalar_one()
    if wanted & set(IMAGE_DATA_RESOURCES):
        used.update(zip(IMAGE_DATA_RESOURCES, _image_usage(session, project_id), strict=True))
    if wanted & set(VOLUME_RESOURCES) or any(name.startswith(_OF_A_TYPE) for name in wanted):
        used.update(_storage_usage(session, project_id, wanted))
    return {resource: used[resource] for resource in wanted if resource in used}


def _server_usage(session: orm.Session, project_id: str) -> tuple[int, int, int]:
    return _server_sums(execute_built(session, _SERVER_USAGE, {"project": project_id}).one())


def _server_sums(row: Iterable[Any]) -> tuple[int, int, int]:
    """Return servers, processors and MiB of memory; a server that changes its flavor counts with the larger."""
    count, vcpus, more_vcpus, ram_mib, more_ram_mib = (int(value) for value in row)
    return count, vcpus + more_vcpus, ram_mib + more_ram_mib


def _sum_of_servers() -> sa.Select[Any]:
    def sums(own: Any, moving: Any) -> tuple[Any, Any]:
        more = sa.case((moving > own, moving - own), else_=0)
        extra = (sa.select(sa.func.coalesce(sa.func.sum(more), 0)).select_from(Migration)
                 .join(Server, Server.id == Migration.server_id)
                 .where(Migration.project_id == _PROJECT, Migration.ended_at.is_(None), Server.deleted_at.is_(None),
                        _not_in_trash()))
        return sa.func.coalesce(sa.func.sum(own), 0), extra.correlate(None).scalar_subquery()

    return sa.select(
        sa.func.count(), *sums(Server.vcpus, Migration.vcpus), *sums(Server.ram_mib, Migration.ram_mib)).where(
        Server.project_id == _PROJECT, Server.deleted_at.is_(None), _not_in_trash())


def _not_in_trash() -> sa.ColumnElement[bool]:
    """Return what holds of servers that count: those in the trash do again as soon as a restore is accepted."""
    return sa.or_(Server.vm_state != server_states.SOFT_DELETED, Server.parked_at.is_(None))


def _counts(model: Any) -> sa.Select[Any]:
    query = sa.select(sa.func.count()).select_from(model).where(model.project_id == _PROJECT)
    return query.where(model.deleted_at.is_(None)) if hasattr(model, "deleted_at") else query


def _storage_sums(noun: str, model: Any, size: Any, type_id: Any | None) -> sa.Select[Any]:
    """Return (noun, type's name or None, number, sum of sizes) of a project's live rows."""
    live = (model.project_id == _PROJECT, model.deleted_at.is_(None))
    totals = (sa.func.count(), sa.func.coalesce(sa.func.sum(size), 0))
    if type_id is None:
        return sa.select(sa.literal(noun), sa.cast(sa.null(), VolumeType.name.type), *totals).where(*live)
    return sa.select(sa.literal(noun), VolumeType.name, *totals).select_from(model).outerjoin(
        VolumeType, VolumeType.id == type_id).where(*live).group_by(VolumeType.name)


# Built once: composing them costs as much as running them, while the project's row is held.
_PROJECT: Any = sa.bindparam("project")
_LIMITS = sa.select(QuotaLimit.project_id, QuotaLimit.resource, QuotaLimit.hard_limit).where(
    QuotaLimit.project_id.in_((_PROJECT, DEFAULTS)))
_COUNTS = {resource: _counts(model) for resource, model in _TABLES.items()}
_SERVER_USAGE = _sum_of_servers()
# By noun; what counts the sizes of each is in `_SIZES`.
_STORAGE_SUMS = {
    "volumes": _storage_sums("volumes", Volume, Volume.claimed_gib, Volume.volume_type_id),
    "snapshots": _storage_sums("snapshots", Snapshot, Snapshot.size_gib, sa.select(Volume.volume_type_id).where(
        Volume.id == Snapshot.volume_id).scalar_subquery()),
    "backups": _storage_sums("backups", Backup, Backup.size_gib, None)}
_SIZES = {"volumes": "gigabytes", "snapshots": "gigabytes", "backups": "backup_gigabytes"}


def _servers_and_limits() -> sa.Select[Any]:
    """Return what servers and ports use, and a limit beside it: a row for each limit, or one without."""
    used = _SERVER_USAGE.add_columns(_COUNTS["ports"].correlate(None).scalar_subquery()).subquery()
    return sa.select(QuotaLimit.project_id, QuotaLimit.resource, QuotaLimit.hard_limit, *used.c).select_from(
        used.outerjoin(QuotaLimit, QuotaLimit.project_id.in_((_PROJECT, DEFAULTS))))


_SERVERS_AND_LIMITS = _servers_and_limits()


@functools.cache
def _storage_and_limits(nouns: tuple[str, ...]) -> Any:
    return sa.union_all(*(_STORAGE_SUMS[noun] for noun in nouns), sa.select(
        QuotaLimit.project_id, QuotaLimit.resource, QuotaLimit.hard_limit, sa.literal(0)).where(
        QuotaLimit.project_id.in_((_PROJECT, DEFAULTS))))


def _image_usage(session: orm.Session, project_id: str) -> tuple[int, int]:
    """Return MiB of image data, there or on its way, and the number of images whose data is on its way."""
    size_bytes, working = session.execute(sa.select(
        sa.func.coalesce(sa.func.sum(sa.func.coalesce(Image.size_bytes, Image.claimed_bytes, 0)), 0),
        sa.func.coalesce(sa.func.sum(sa.case((Image.status.in_(statuses.WORKING), 1), else_=0)), 0),
    ).where(Image.project_id == project_id, Image.deleted_at.is_(None))).one()
    return -(-int(size_bytes) >> 20), int(working)


def _storage_usage(session: orm.Session, project_id: str, wanted: set[str]) -> dict[str, int]:
    """Count volumes, snapshots and backups, in total and for each type asked for."""
    return _storage_used(wanted, [row for noun in _counted_in(wanted) for row in session.execute(
        _STORAGE_SUMS[noun], {"project": project_id}).tuples()])


def _counted_in(wanted: Iterable[str]) -> tuple[str, ...]:
    """Return the nouns that count in some of the resources."""
    return tuple(noun for noun, size in _SIZES.items() if any(name.startswith((noun, size)) for name in wanted))


def _storage_used(wanted: Iterable[str], rows: Iterable[tuple[str, str | None, int, int]]) -> dict[str, int]:
    used = {name: 0 for name in wanted if name in VOLUME_RESOURCES or name.startswith(_OF_A_TYPE)}
    for noun, type_name, number, size_gib in rows:
        for suffix in ("",) if type_name is None else ("", f"_{type_name}"):
            for resource, amount in ((noun + suffix, number), (_SIZES[noun] + suffix, size_gib)):
                if resource in used:
                    used[resource] += int(amount)
    return used


@dataclasses.dataclass(frozen=True)
class Held:
    """The limits of a project whose row is held, and what it used when that began."""

    limit: Mapping[str, int]
    used: Mapping[str, int]

    def check(self, wanted: Mapping[str, int]) -> None:
        """Raise QuotaExceeded, with the numbers, unless `wanted` more of each resource fits."""
        _refuse_over(self.limit, self.used, wanted)


def hold_for_servers(db: Database, session: orm.Session, conf: cfg.ConfigOpts, project_id: str) -> Held:
    """Hold the project's row, and count its servers and ports; the caller then checks and adds the rows."""
    db.lock_row(session, Project, Project.id == project_id)
    rows = execute_built(session, _SERVERS_AND_LIMITS, {"project": project_id}).all()
    *servers, ports = rows[0][3:]
    return Held(_limits(conf, (tuple(row[:3]) for row in rows if row[0] is not None)),
                {**dict(zip(SERVER_RESOURCES, _server_sums(servers), strict=True)), "ports": int(ports)})


def hold_for_storage(db: Database, session: orm.Session, conf: cfg.ConfigOpts, project_id: str,
                     wanted: Iterable[str]) -> Held:
    """As `hold_for_servers`, with what the project uses of the storage resources `wanted`."""
    db.lock_row(session, Project, Project.id == project_id)
    rows = execute_built(session, _storage_and_limits(_counted_in(wanted)), {"project": project_id}).tuples().all()
    return Held(_limits(conf, (row[:3] for row in rows if row[0] not in _SIZES)),
                _storage_used(wanted, [row for row in rows if row[0] in _SIZES]))


def claim(db: Database, session: orm.Session, conf: cfg.ConfigOpts, project_id: str,
          wanted: Mapping[str, int]) -> None:
    """Hold the project's row and check that `wanted` more of each resource fits; the caller then adds the rows.

    Raises QuotaExceeded with the numbers.
    """
    limit = limits(session, conf, project_id)
    db.lock_row(session, Project, Project.id == project_id)
    _refuse_over(limit, usage(session, project_id, wanted), wanted)


def _refuse_over(limit: Mapping[str, int], used: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    over = [name for name, amount in wanted.items()
            if amount > 0 and limit.get(name, UNLIMITED) != UNLIMITED and used[name] + amount > limit[name]]
    if over:
        if over[0].startswith(VOLUME_RESOURCES):
            raise _storage_exceeded(over[0], wanted[over[0]], used[over[0]], limit[over[0]])
        raise errors.QuotaExceeded(
            overs=", ".join(over), requested=", ".join(str(wanted[name]) for name in over),
            used=", ".join(str(used[name]) for name in over), limit=", ".join(str(limit[name]) for name in over))


def _storage_exceeded(name: str, requested: int, used: int, limit: int) -> errors.QuotaExceeded:
    fields: dict[str, Any] = {"overs": name, "name": name, "requested": requested, "used": used, "limit": limit}
    if name.startswith(("gigabytes", "backup_gigabytes")):
        return errors.VolumeSizeExceedsQuota(**fields)
    return errors.VolumeLimitExceeded(noun=name.partition("_")[0], **fields)


def check_items(session: orm.Session, conf: cfg.ConfigOpts, project_id: str, resource: str, count: int,
                before: int = 0) -> None:
    """Raise QuotaExceeded when `count` items of one parent are too many for a limit of PER_ITEM.

    The caller holds the parent's row. A parent that has too many already (the limit was lowered, or an image brought
    them) may keep what it has, and have fewer.
    """
    limit = limits(session, conf, project_id)[resource]
    if limit != UNLIMITED and count > max(limit, before):
        raise errors.QuotaExceeded(f"Maximum number of {resource.replace('_', ' ')} exceeds {limit}", overs=resource,
                                   requested=count - before, used=before, limit=limit)


def check_volume_size(limit: Mapping[str, int], size_gib: int) -> None:
    """Raise VolumeSizeExceedsLimit when one volume of `size_gib` is larger than `limit` allows."""
    allowed = limit["per_volume_gigabytes"]
    if allowed != UNLIMITED and size_gib > allowed:
        raise errors.VolumeSizeExceedsLimit(overs="per_volume_gigabytes", size=size_gib, limit=allowed)
