"""Quota: counted from rows under the project's lock, in the transaction that adds the rows. There is no counter.

>>> claim(database, session, conf, project_id, {"instances": 2, "cores": 4, "ram": 1024})
>>> claim(database, session, conf, project_id, of_type("fast", {"volumes": 1, "gigabytes": 20}))

Volumes and snapshots share `gigabytes`; a volume counts there with `claimed_gib`. Volume types may have limits of
their own (`volumes_<type>`, `gigabytes_<type>`, `snapshots_<type>`), which are unlimited unless there is a row.

A project's limit is its own, else that of the class `default`, which administrators may set, else the configured one.
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
    stored: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for holder, resource, limit in session.execute(_LIMITS, {"project": project_id}):
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
    """Return servers, processors and MiB of memory; a server that changes its flavor counts with the larger."""
    row = session.execute(_SERVER_USAGE, {"project": project_id}).one()
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


def _storage_sums(model: Any, size: Any, type_id: Any | None) -> sa.Select[Any]:
    """Return (type's name or None, number, sum of sizes) of a project's live rows."""
    live = (model.project_id == _PROJECT, model.deleted_at.is_(None))
    totals = (sa.func.count(), sa.func.coalesce(sa.func.sum(size), 0))
    if type_id is None:
        return sa.select(sa.null(), *totals).where(*live)
    return sa.select(VolumeType.name, *totals).select_from(model).outerjoin(
        VolumeType, VolumeType.id == type_id).where(*live).group_by(VolumeType.name)


# Built once: composing them costs as much as running them, while the project's row is held.
_PROJECT: Any = sa.bindparam("project")
_LIMITS = sa.select(QuotaLimit.project_id, QuotaLimit.resource, QuotaLimit.hard_limit).where(
    QuotaLimit.project_id.in_((_PROJECT, DEFAULTS)))
_COUNTS = {resource: _counts(model) for resource, model in _TABLES.items()}
_SERVER_USAGE = _sum_of_servers()
_STORAGE_SUMS: dict[Any, sa.Select[Any]] = {
    Volume: _storage_sums(Volume, Volume.claimed_gib, Volume.volume_type_id),
    Snapshot: _storage_sums(Snapshot, Snapshot.size_gib, sa.select(Volume.volume_type_id).where(
        Volume.id == Snapshot.volume_id).scalar_subquery()),
    Backup: _storage_sums(Backup, Backup.size_gib, None)}


def _image_usage(session: orm.Session, project_id: str) -> tuple[int, int]:
    """Return MiB of image data, there or on its way, and the number of images whose data is on its way."""
    size_bytes, working = session.execute(sa.select(
        sa.func.coalesce(sa.func.sum(sa.func.coalesce(Image.size_bytes, Image.claimed_bytes, 0)), 0),
        sa.func.coalesce(sa.func.sum(sa.case((Image.status.in_(statuses.WORKING), 1), else_=0)), 0),
    ).where(Image.project_id == project_id, Image.deleted_at.is_(None))).one()
    return -(-int(size_bytes) >> 20), int(working)


def _storage_usage(session: orm.Session, project_id: str, wanted: set[str]) -> dict[str, int]:
    """Count volumes, snapshots and backups, in total and for each type asked for."""
    used = dict.fromkeys(wanted & set(VOLUME_RESOURCES), 0)
    used.update(dict.fromkeys((name for name in wanted if name.startswith(_OF_A_TYPE)), 0))

    def count(number_as: str, size_as: str, model: Any) -> None:
        for name, number, size_gib in session.execute(_STORAGE_SUMS[model], {"project": project_id}).tuples():
            suffixes = ("",) if name is None else ("", f"_{name}")
            for suffix in suffixes:
                for resource, amount in ((number_as + suffix, number), (size_as + suffix, size_gib)):
                    if resource in used:
                        used[resource] += int(amount)

    if any(name.startswith(("volumes", "gigabytes")) for name in used):
        count("volumes", "gigabytes", Volume)
    if any(name.startswith(("snapshots", "gigabytes")) for name in used):
        count("snapshots", "gigabytes", Snapshot)
    if used.keys() & {"backups", "backup_gigabytes"}:
        count("backups", "backup_gigabytes", Backup)
    return used


def claim(db: Database, session: orm.Session, conf: cfg.ConfigOpts, project_id: str,
          wanted: Mapping[str, int]) -> None:
    """Hold the project's row and check that `wanted` more of each resource fits; the caller then adds the rows.

    Raises QuotaExceeded with the numbers.
    """
    claim_within(db, session, limits(session, conf, project_id), project_id, wanted)


def claim_within(db: Database, session: orm.Session, limit: Mapping[str, int], project_id: str,
                 wanted: Mapping[str, int]) -> None:
    """As `claim`, for a caller that has read the project's limits."""
    db.lock_row(session, Project, Project.id == project_id)
    check_within(session, limit, project_id, wanted)


def check_within(session: orm.Session, limit: Mapping[str, int], project_id: str, wanted: Mapping[str, int]) -> None:
    """As `claim_within`, for a caller that holds the project's row already."""
    used = usage(session, project_id, wanted)
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
