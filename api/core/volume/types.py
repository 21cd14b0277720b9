"""Volume types: what sorts of volume there are, their extra specs, and which projects may use those not public."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Project, QuotaLimit, Volume, VolumeType, VolumeTypeAccess
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

_POLICY: Final = "volume_extension:"
VOLUME_TYPE: Final = declare(VolumeType)
# What a project's own limits for a type are called: prefix + name of the type.
_QUOTA_PREFIXES: Final = ("volumes_", "gigabytes_", "snapshots_")


def not_found(type_id: str) -> errors.NotFound:
    """Return the error for a type that does not exist for the caller."""
    return errors.NotFound(f"Volume type {type_id} could not be found.", resource="volume_type", id=type_id)


def visible(context: RequestContext) -> sa.ColumnElement[bool]:
    """Return the condition of the types that the caller's project may use."""
    granted = sa.exists().where(VolumeTypeAccess.volume_type_id == VolumeType.id,
                                VolumeTypeAccess.project_id == context.project_id)
    return sa.or_(VolumeType.is_public, granted)


def find(session: orm.Session, context: RequestContext, type_id: str) -> VolumeType:
    """Return a type by its id; raises NotFound when the caller may not use it."""
    query = sa.select(VolumeType).where(VolumeType.id == (ids.canonical(type_id) or ""))
    if not context.is_admin:
        query = query.where(visible(context))
    found = session.scalars(query).one_or_none()
    if found is None:
        raise not_found(type_id)
    return found


def show(services: Services, context: RequestContext, type_id: str) -> VolumeType:
    """Return one type; raises NotFound."""
    services.policy.check(context, _POLICY + "type_get")
    with services.db.reading() as session:
        return find(session, context, type_id)


def show_default(services: Services, context: RequestContext) -> VolumeType:
    """Return the type of volumes whose request names none; raises NotFound when there is no such."""
    services.policy.check(context, _POLICY + "type_get")
    name = services.conf.volume.default_volume_type
    with services.db.reading() as session:
        found = session.scalars(sa.select(VolumeType).where(VolumeType.name == name, visible(context))).one_or_none()
    if not name or found is None:
        raise errors.NotFound("Default volume type can not be found.", resource="volume_type", id=name or "default")
    return found


def list_types(services: Services, context: RequestContext, query: Query, *, is_public: bool | None = True) -> Page:
    """Return a page of the types that are public or not (None: both; for administrators, others see what they may
    use); raises NotFound for an unknown marker."""
    services.policy.check(context, _POLICY + "type_get_all")
    scope: list[Any] = []
    if not context.is_admin:
        scope = [visible(context)]
    elif is_public is not None:
        scope = [visible(context) if is_public else VolumeType.is_public.is_(False)]
    with services.db.reading() as session:
        return read_page(session, VOLUME_TYPE, query, scope)


def create(services: Services, context: RequestContext, values: Mapping[str, Any]) -> VolumeType:
    """Write a type from model values; raises NotUnique for a name that is taken."""
    services.policy.check(context, _POLICY + "type_create")

    def work(session: orm.Session) -> VolumeType:
        _check_name_free(session, values["name"])
        made = VolumeType(**values)
        session.add(made)
        return made

    return _unique(services, work, values["name"])


def update(services: Services, context: RequestContext, type_id: str, values: Mapping[str, Any]) -> VolumeType:
    """Set columns of a type; limits of projects for it follow its name. Raises NotFound, NotUnique."""
    services.policy.check(context, _POLICY + "type_update")

    def work(session: orm.Session) -> VolumeType:
        row = _held(services, session, context, type_id)
        name = values.get("name", row.name)
        if name != row.name:
            _check_name_free(session, name)
            for prefix in _QUOTA_PREFIXES:
                session.execute(sa.update(QuotaLimit).where(QuotaLimit.resource == prefix + row.name)
                                .values(resource=prefix + name))
        for key, value in values.items():
            setattr(row, key, value)
        return row

    return _unique(services, work, str(values.get("name")))


def _check_name_free(session: orm.Session, name: str) -> None:
    if session.scalar(sa.select(VolumeType.id).where(VolumeType.name == name)) is not None:
        raise _taken(name)


def _taken(name: str) -> errors.NotUnique:
    return errors.NotUnique(f"Volume Type {name} already exists.", resource="volume_type", id=name)


def _unique(services: Services, work: Any, name: str) -> VolumeType:
    try:
        return services.db.write(work)  # type: ignore[no-any-return]
    except exc.IntegrityError as error:
        raise _taken(name) from error


def _held(services: Services, session: orm.Session, context: RequestContext, type_id: str) -> VolumeType:
    row = find(session, context, type_id)
    services.db.lock_row(session, VolumeType, VolumeType.id == row.id)
    session.refresh(row)
    return row


def delete(services: Services, context: RequestContext, type_id: str) -> None:
    """Remove a type with its access list and limits; raises Invalid while volumes are of it or it is the default."""
    services.policy.check(context, _POLICY + "type_delete")

    def work(session: orm.Session) -> None:
        row = _held(services, session, context, type_id)
        if session.scalar(sa.select(Volume.id).where(Volume.volume_type_id == row.id,
                                                     Volume.deleted_at.is_(None)).limit(1)) is not None:
            raise errors.Invalid(reason="Target volume type is still in use.")
        if row.name == services.conf.volume.default_volume_type:
            raise errors.Invalid(reason=f"The volume type {row.name} is the default volume type and cannot be "
                                        "deleted.")
        session.execute(sa.update(Volume).where(Volume.volume_type_id == row.id).values(volume_type_id=None))
        session.execute(sa.delete(VolumeTypeAccess).where(VolumeTypeAccess.volume_type_id == row.id))
        session.execute(sa.delete(QuotaLimit).where(
            QuotaLimit.resource.in_([prefix + row.name for prefix in _QUOTA_PREFIXES])))
        session.delete(row)

    services.db.write(work)


def extra_specs(services: Services, context: RequestContext, type_id: str, action: str) -> dict[str, Any]:
    """Return a type's extra specs under the policy types_extra_specs:`action`."""
    services.policy.check(context, _POLICY + "types_extra_specs:" + action)
    with services.db.reading() as session:
        return find(session, context, type_id).extra_specs


def edit_extra_specs(services: Services, context: RequestContext, type_id: str, action: str, *,
                     put: Mapping[str, str] | None = None, drop: str | None = None) -> None:
    """Merge `put` into a type's extra specs, or take `drop` out; raises NotFound."""
    services.policy.check(context, _POLICY + "types_extra_specs:" + action)

    def work(session: orm.Session) -> None:
        row = _held(services, session, context, type_id)
        specs = {**row.extra_specs, **(put or {})}
        if drop is not None and specs.pop(drop, None) is None:
            raise spec_not_found(type_id, drop)
        row.extra_specs = specs

    services.db.write(work)


def spec_not_found(type_id: str, key: str) -> errors.NotFound:
    """Return the error for an extra spec that is not there."""
    return errors.NotFound(f"Volume Type {type_id} has no extra specs with key {key}.", resource="extra_spec", id=key)


def access_list(services: Services, context: RequestContext, type_id: str) -> Sequence[str]:
    """Return the projects that may use a type; raises NotFound for a public one."""
    services.policy.check(context, _POLICY + "volume_type_access:get_all_for_type")
    with services.db.reading() as session:
        row = find(session, context, type_id)
        if row.is_public:
            raise errors.NotFound("Access list not available for public volume types.", resource="volume_type",
                                  id=type_id)
        return session.scalars(sa.select(VolumeTypeAccess.project_id).where(
            VolumeTypeAccess.volume_type_id == row.id).order_by(VolumeTypeAccess.project_id)).all()


def grant(services: Services, context: RequestContext, type_id: str, project: str) -> None:
    """Let a project use a type; raises Conflict when it may already, or everybody may."""
    services.policy.check(context, _POLICY + "volume_type_access:addProjectAccess")

    def work(session: orm.Session) -> None:
        row = _private(session, context, type_id)
        project_id = _known_project(session, project)
        if session.get(VolumeTypeAccess, (row.id, project_id)) is not None:
            raise errors.Conflict(reason=f"Volume type access for {type_id} / {project} combination already exists.")
        session.add(VolumeTypeAccess(volume_type_id=row.id, project_id=project_id))
        session.flush()

    services.db.write(work)


def revoke(services: Services, context: RequestContext, type_id: str, project: str) -> None:
    """Take a type away from a project; its volumes stay. Raises NotFound when it had no access."""
    services.policy.check(context, _POLICY + "volume_type_access:removeProjectAccess")

    def work(session: orm.Session) -> None:
        row = _private(session, context, type_id)
        access = session.get(VolumeTypeAccess, (row.id, _known_project(session, project)))
        if access is None:
            raise errors.NotFound(f"Volume type access not found for {type_id} / {project} combination.",
                                  resource="volume_type_access", id=type_id)
        session.delete(access)

    services.db.write(work)


def _private(session: orm.Session, context: RequestContext, type_id: str) -> VolumeType:
    row = find(session, context, type_id)
    if row.is_public:
        raise errors.Conflict(reason="Type access modification is not applicable to public volume type.")
    return row


def _known_project(session: orm.Session, project: str) -> str:
    project_id = ids.canonical(project)
    if project_id is None or session.get(Project, project_id) is None:
        raise errors.Invalid(reason=f"Project ID {project[:80]} is not a valid project.")
    return project_id
