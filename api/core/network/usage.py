"""Quotas of projects, and the number of addresses in use on networks."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.networks import NETWORK
from api.core.network.scope import Caller, find
from hostler import errors, ids
from hostler.db.models import FixedIp, Network, Project, QuotaLimit, Subnet, Zone
from hostler.query.paging import Query, read_page
from hostler.resources import quota
from hostler.resources.network import ipam

# The published name of each limit, and ours.
QUOTAS: Final[Mapping[str, str]] = {
    "network": "networks", "subnet": "subnets", "port": "ports", "security_group": "security_groups",
    "security_group_rule": "security_group_rules", "router": "routers", "floatingip": "floatingips",
    "rbac_policy": "rbac_policies", "subnetpool": "subnetpools"}


@dataclasses.dataclass(frozen=True)
class Availability:
    """A network, and each subnet with [total, used] addresses."""

    network: Network
    subnets: tuple[tuple[Subnet, int, int], ...]


def show_limits(caller: Caller, project: str) -> dict[str, int]:
    """Return a project's limits by published name."""
    project_id = _project_id(caller, project, "get_quota")
    with caller.services.db.reading() as session:
        held = quota.limits(session, caller.services.conf, project_id)
    return {name: held[ours] for name, ours in QUOTAS.items()}


def show_usage(caller: Caller, project: str) -> dict[str, dict[str, int]]:
    """Return a project's limits and what it uses, by published name."""
    project_id = _project_id(caller, project, "get_quota")
    with caller.services.db.reading() as session:
        held = quota.limits(session, caller.services.conf, project_id)
        used = quota.usage(session, project_id, QUOTAS.values())
    return {name: {"limit": held[ours], "used": used[ours], "reserved": 0} for name, ours in QUOTAS.items()}


def default_limits(caller: Caller, project: str) -> dict[str, int]:
    """Return the limits of projects without limits of their own, by published name."""
    _project_id(caller, project, "get_quota")
    with caller.services.db.reading() as session:
        held = quota.limits(session, caller.services.conf, quota.DEFAULTS)
    return {name: held[ours] for name, ours in QUOTAS.items()}


def projects_with_limits(caller: Caller) -> dict[str, dict[str, int]]:
    """Return the limits of each project that has its own, by project id."""
    caller.check("update_quota", caller.project_id)
    published = {ours: name for name, ours in QUOTAS.items()}
    with caller.services.db.reading() as session:
        held = quota.limits(session, caller.services.conf, quota.DEFAULTS)
        defaults = {name: held[ours] for name, ours in QUOTAS.items()}
        found: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict(defaults))
        for project_id, resource, limit in session.execute(
                sa.select(QuotaLimit.project_id, QuotaLimit.resource, QuotaLimit.hard_limit)
                .where(QuotaLimit.resource.in_(published), QuotaLimit.project_id != quota.DEFAULTS)
                .order_by(QuotaLimit.project_id)).tuples():
            found[project_id][published[resource]] = limit
    return dict(found)


def set_limits(caller: Caller, project: str, limits: Mapping[str, int], *, within_use: bool = True) -> None:
    """Give a project limits of its own, which may be below what it uses unless `within_use` is false (Invalid)."""
    project_id = _project_id(caller, project, "update_quota")

    def work(session: orm.Session) -> tuple[None, list[str]]:
        caller.services.db.lock_row(session, Project, Project.id == project_id)
        if session.get(Project, project_id) is None:
            raise _unknown(project)
        used = {} if within_use else quota.usage(session, project_id, [QUOTAS[name] for name in limits])
        for name, limit in limits.items():
            if 0 <= limit < used.get(QUOTAS[name], 0):
                raise errors.Invalid(reason=f"Quota limit {limit} of {name} is less than what is used: "
                                            f"{used[QUOTAS[name]]}.")
            row = session.get(QuotaLimit, (project_id, QUOTAS[name]))
            if row is None:
                session.add(QuotaLimit(project_id=project_id, resource=QUOTAS[name], hard_limit=limit))
            else:
                row.hard_limit = limit
        return None, []
    caller.write(work)


def drop_limits(caller: Caller, project: str) -> None:
    """Take a project's own limits away."""
    project_id = _project_id(caller, project, "delete_quota")

    def work(session: orm.Session) -> tuple[None, list[str]]:
        session.execute(sa.delete(QuotaLimit).where(QuotaLimit.project_id == project_id,
                                                    QuotaLimit.resource.in_(QUOTAS.values())))
        return None, []
    caller.write(work)


def availabilities(caller: Caller, query: Query, ip_versions: Sequence[str]) -> list[Availability]:
    """Return the use of addresses of every network (administrators), with the subnets of some versions or all."""
    caller.check("get_network_ip_availability", caller.project_id)
    with caller.services.db.reading() as session:
        return _availabilities(session, read_page(session, NETWORK, query).rows, ip_versions)


def availability(caller: Caller, identifier: str) -> Availability:
    """Return the use of addresses of one network; raises NotFound."""
    caller.check("get_network_ip_availability", caller.project_id)
    with caller.services.db.reading() as session:
        return _availabilities(session, [find(session, caller, Network, identifier)], ())[0]


def zone_names(caller: Caller) -> list[str]:
    """Return the names of the availability zones."""
    with caller.services.db.reading() as session:
        return list(session.scalars(sa.select(Zone.name).order_by(Zone.name)))


def _availabilities(session: orm.Session, networks: Sequence[Network],
                    versions: Sequence[str]) -> list[Availability]:
    network_ids = [network.id for network in networks]
    subnets = session.scalars(sa.select(Subnet).where(Subnet.network_id.in_(network_ids))
                              .order_by(Subnet.created_at, Subnet.id)).all()
    used = dict(session.execute(
        sa.select(FixedIp.subnet_id, sa.func.count()).join(Subnet, Subnet.id == FixedIp.subnet_id)
        .where(Subnet.network_id.in_(network_ids)).group_by(FixedIp.subnet_id)).tuples().all())
    found: defaultdict[str, list[tuple[Subnet, int, int]]] = defaultdict(list)
    for subnet in subnets:
        if not versions or str(subnet.ip_version) in versions:
            found[subnet.network_id].append((subnet, ipam.capacity(subnet), used.get(subnet.id, 0)))
    return [Availability(network, tuple(found[network.id])) for network in networks]


def _project_id(caller: Caller, project: str, action: str) -> str:
    project_id = ids.canonical(project)
    if project_id is None:
        raise _unknown(project)
    caller.check(action, project_id)
    return project_id


def _unknown(project: str) -> errors.NotFound:
    return errors.NotFound(f"Project {project} could not be found.", resource="project", id=project)
