"""A project's quota of storage: volumes, snapshots, backups and their sizes, in total and for each volume type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.server import quota_sets
from api.core.server.quota_sets import Quota
from api.core.volume import types as volume_types
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import QuotaLimit, VolumeType
from hostler.resources import quota

_POLICY: Final = "volume_extension:quotas:"
_LONGEST_NAME: Final = 64  # of a limit in the database


def show(services: Services, context: RequestContext, project: str) -> Quota:
    """Return a project's quota with its use; raises Forbidden for another's, Invalid for one that does not exist."""
    project_id = ids.canonical(project) or project
    services.policy.check(context, _POLICY + "show", {"project_id": project_id, "user_id": context.user_id})
    return read(services, context, quota_sets.known_project(services, project))


def read(services: Services, context: RequestContext, project_id: str) -> Quota:
    """Return a project's quota with its use, for the volume types that the caller sees; checks no policy."""
    with services.db.reading() as session:
        names = _names(session, context)
        limits = quota.limits(session, services.conf, project_id)
        used = quota.usage(session, project_id, names)
    return Quota({name: limits.get(name, quota.UNLIMITED) for name in names},
                 {name: used.get(name, 0) for name in names})


def limits_of(services: Services, context: RequestContext, project: str | None) -> Quota:
    """Return the quota of the caller's project, or of another for administrators; raises Forbidden."""
    project_id = str(context.project_id)
    services.policy.check(context, "limits_extension:used_limits")
    if project is not None and (ids.canonical(project) or project) != project_id:
        services.policy.check(context, "limits_extension:other_project")
        project_id = quota_sets.known_project(services, project)
    return read(services, context, project_id)


def defaults(services: Services, context: RequestContext, project: str) -> Mapping[str, int]:
    """Return what a project without limits of its own has."""
    project_id = ids.canonical(project) or project
    services.policy.check(context, _POLICY + "show", {"project_id": project_id, "user_id": context.user_id})
    return read_defaults(services, context)


def read_defaults(services: Services, context: RequestContext) -> Mapping[str, int]:
    """Return the default limits, for the volume types that the caller sees; checks no policy."""
    with services.db.reading() as session:
        limits = quota.limits(session, services.conf, quota.DEFAULTS)
        return {name: limits.get(name, quota.UNLIMITED) for name in _names(session, context)}


def update(services: Services, context: RequestContext, project: str, changes: Mapping[str, int]) -> Mapping[str, int]:
    """Set limits; returns all. Raises Invalid for one that there is not, or that is below what is used."""
    services.policy.check(context, _POLICY + "update")
    project_id = quota_sets.known_project(services, project)
    names = _checked(services, context, changes)
    written = quota_sets.write_limits(services, project_id, changes, force=False)
    return {name: written.get(name, quota.UNLIMITED) for name in names}


def update_defaults(services: Services, context: RequestContext, changes: Mapping[str, int]) -> Mapping[str, int]:
    """Set default limits; returns all. Raises Invalid for an unknown one. Checks no policy."""
    names = _checked(services, context, changes)
    written = quota_sets.write_defaults(services, changes)
    return {name: written.get(name, quota.UNLIMITED) for name in names}


def _checked(services: Services, context: RequestContext, changes: Mapping[str, int]) -> tuple[str, ...]:
    """Return the names of all limits; raises Invalid for a change of another."""
    with services.db.reading() as session:
        names = _names(session, context)
    unknown = sorted(changes.keys() - set(names))
    if unknown:
        raise errors.Invalid(reason=f"Bad key(s) in quota set: {unknown[0][:80]}")
    too_long = [name for name in changes if len(name) > _LONGEST_NAME]
    if too_long:
        raise errors.Invalid(reason=f"{too_long[0]}: the volume type's name is too long to have limits of its own.")
    return names


def reset(services: Services, context: RequestContext, project: str) -> None:
    """Give a project the default limits of storage."""
    services.policy.check(context, _POLICY + "delete")
    project_id = quota_sets.known_project(services, project)
    services.db.write(lambda session: session.execute(sa.delete(QuotaLimit).where(
        QuotaLimit.project_id == project_id, quota_sets.of_storage())))


def _names(session: orm.Session, context: RequestContext) -> tuple[str, ...]:
    query = sa.select(VolumeType.name).order_by(VolumeType.name)
    types = session.scalars(query if context.is_admin else query.where(volume_types.visible(context))).all()
    return (*quota.STORAGE, *(f"{resource}_{name}" for name in types for resource in quota.TYPE_RESOURCES))
