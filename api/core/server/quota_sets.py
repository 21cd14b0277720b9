"""A project's quota: what it may use, what it does use, and changing the former."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain, Project, QuotaLimit
from hostler.resources import quota

_POLICY = "os_compute_api:os-quota-sets:"
_ALWAYS_THERE = "default"


@dataclasses.dataclass(frozen=True)
class Quota:
    """Every limit of a project, and what it uses of those that are summed over it."""

    limits: Mapping[str, int]
    used: Mapping[str, int]


def show(services: Services, context: RequestContext, project: str, *, action: str = "show") -> Quota:
    """Return a project's quota; raises Forbidden for another's, Invalid for one that does not exist."""
    project_id = ids.canonical(project) or project
    services.policy.check(context, _POLICY + action, {"project_id": project_id, "user_id": context.user_id})
    return read(services, known_project(services, project))


def read(services: Services, project_id: str) -> Quota:
    """Return a project's quota, without a policy check."""
    with services.db.reading() as session:
        return Quota(quota.limits(session, services.conf, project_id),
                     quota.usage(session, project_id, quota.RESOURCES))


def defaults(services: Services, context: RequestContext, project: str) -> Mapping[str, int]:
    """Return what a project without limits of its own has."""
    services.policy.check(context, _POLICY + "defaults")
    known_project(services, project)
    return read_defaults(services)


def read_defaults(services: Services) -> Mapping[str, int]:
    """Return the default limits, without a policy check."""
    with services.db.reading() as session:
        return quota.limits(session, services.conf, quota.DEFAULTS)


def write_defaults(services: Services, changes: Mapping[str, int]) -> Mapping[str, int]:
    """Set default limits and return all, without a policy check; they may be below what projects use."""

    def work(session: orm.Session) -> Mapping[str, int]:
        # The row that is always there stands for the class: two requests must not both add a limit.
        services.db.lock_row(session, Domain, Domain.id == _ALWAYS_THERE)
        return _store(services, session, quota.DEFAULTS, changes)

    return services.db.write(work)


def update(services: Services, context: RequestContext, project: str, changes: Mapping[str, int], *,
           force: bool) -> Mapping[str, int]:
    """Set limits; raises Invalid for one below what is used, unless `force`."""
    services.policy.check(context, _POLICY + "update")
    return write_limits(services, known_project(services, project), changes, force=force)


def write_limits(services: Services, project_id: str, changes: Mapping[str, int], *,
                 force: bool) -> Mapping[str, int]:
    """Like `update`, without a policy check."""

    def work(session: orm.Session) -> Mapping[str, int]:
        services.db.lock_row(session, Project, Project.id == project_id)
        used = quota.usage(session, project_id, changes)
        for resource, limit in changes.items():
            if not force and limit != quota.UNLIMITED and limit < used.get(resource, 0):
                raise errors.Invalid(reason=f"Quota limit {limit} for {resource} must be greater than or equal to "
                                            f"already used and reserved {used[resource]}.")
        return _store(services, session, project_id, changes)

    return services.db.write(work)


def _store(services: Services, session: orm.Session, holder: str, changes: Mapping[str, int]) -> Mapping[str, int]:
    for resource, limit in changes.items():
        row = session.get(QuotaLimit, (holder, resource))
        if row is None:
            session.add(QuotaLimit(project_id=holder, resource=resource, hard_limit=limit))
        else:
            row.hard_limit = limit
    session.flush()
    return quota.limits(session, services.conf, holder)


def reset(services: Services, context: RequestContext, project: str) -> None:
    """Reset a project's limits to the defaults, except those of storage, which the Block Storage API resets."""
    services.policy.check(context, _POLICY + "delete")
    project_id = known_project(services, project)
    services.db.write(lambda session: session.execute(sa.delete(QuotaLimit).where(
        QuotaLimit.project_id == project_id, sa.not_(of_storage()))))


def of_storage() -> sa.ColumnElement[bool]:
    """Return the condition of limits on volumes, snapshots and backups, in total and by volume type."""
    by_type = [QuotaLimit.resource.startswith(f"{resource}_", autoescape=True) for resource in quota.TYPE_RESOURCES]
    return sa.or_(QuotaLimit.resource.in_(quota.STORAGE), *by_type)


def known_project(services: Services, project: str) -> str:
    """Return a project's id; raises Invalid for one that does not exist."""
    project_id = ids.canonical(project)
    if project_id is not None:
        with services.db.reading() as session:
            if session.get(Project, project_id) is not None:
                return project_id
    raise errors.Invalid(reason=f"Project ID {project[:80]} is not a valid project.")
