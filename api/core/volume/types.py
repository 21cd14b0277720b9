"""Volume types, their extra specs, and which projects may use the private ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.catalog.offerings import Offering
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import QuotaLimit, Volume, VolumeType, VolumeTypeAccess
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

_POLICY: Final = "volume_extension:"
VOLUME_TYPE: Final = declare(VolumeType)
# What a project's own limits for a type are called: prefix + name of the type.
_QUOTA_PREFIXES: Final = ("volumes_", "gigabytes_", "snapshots_")


TYPES: Final = Offering[VolumeType](
    noun="volume type", model=VolumeType, key=VolumeType.id, access=VolumeTypeAccess,
    owner=VolumeTypeAccess.volume_type_id, specs=_POLICY + "types_extra_specs:",
    listing=_POLICY + "volume_type_access:get_all_for_type", adding=_POLICY + "volume_type_access:addProjectAccess",
    removing=_POLICY + "volume_type_access:removeProjectAccess",
    taken="Volume type access for {id} / {project} combination already exists.",
    read_id=lambda type_id: ids.canonical(type_id) or "")
visible = TYPES.visible


def show(services: Services, context: RequestContext, type_id: str) -> VolumeType:
    """Return one type; raises NotFound."""
    services.policy.check(context, _POLICY + "type_get")
    with services.db.reading() as session:
        return TYPES.find(session, context, type_id)


def show_default(services: Services, context: RequestContext) -> VolumeType:
    """Return the default type, used by requests that name none; raises NotFound when there is none."""
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
    with services.db.reading() as session:
        return read_page(session, VOLUME_TYPE, query, TYPES.scope(context, is_public))


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
        row = TYPES.hold(services, session, context, type_id)
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


def delete(services: Services, context: RequestContext, type_id: str) -> None:
    """Remove a type with its access list and limits; raises Invalid while volumes are of it or it is the default."""
    services.policy.check(context, _POLICY + "type_delete")

    def work(session: orm.Session) -> None:
        row = TYPES.hold(services, session, context, type_id)
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
