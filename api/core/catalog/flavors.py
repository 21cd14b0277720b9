"""Flavors: what sizes servers come in, and which projects may use those that are not public."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Flavor, FlavorAccess, Project
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

FLAVOR: Final = declare(Flavor, key="flavorid")


def not_found(flavor_id: str) -> errors.NotFound:
    """Return the error for a flavor that does not exist for the caller."""
    return errors.NotFound(f"Flavor {flavor_id} could not be found.", resource="flavor", id=flavor_id)


def _visible(context: RequestContext) -> sa.ColumnElement[bool]:
    granted = sa.exists().where(FlavorAccess.flavor_id == Flavor.id, FlavorAccess.project_id == context.project_id)
    return sa.or_(Flavor.is_public, granted)


def find(session: orm.Session, context: RequestContext, flavor_id: str) -> Flavor:
    """Return the flavor with the id users see; raises NotFound when the caller may not use it."""
    query = sa.select(Flavor).where(Flavor.flavorid == flavor_id)
    if not context.is_admin:
        query = query.where(_visible(context))
    flavor = session.scalars(query).one_or_none()
    if flavor is None:
        raise not_found(flavor_id)
    return flavor


def show(services: Services, context: RequestContext, flavor_id: str) -> Flavor:
    """Return one flavor; raises NotFound."""
    with services.db.reading() as session:
        return find(session, context, flavor_id)


def list_flavors(services: Services, context: RequestContext, query: Query, *, is_public: bool | None = True) -> Page:
    """Return a page of the flavors that are public or not (None: both; for administrators, others see what they may
    use); raises Invalid for an unknown marker."""
    scope: list[sa.ColumnElement[bool]] = []
    if not context.is_admin:
        scope = [_visible(context), Flavor.disabled.is_(False)]
    elif is_public is not None:
        scope = [_visible(context) if is_public else Flavor.is_public.is_(False)]
    with services.db.reading() as session:
        return read_page(session, FLAVOR, query, scope, seen=[])


def create(services: Services, context: RequestContext, values: Mapping[str, Any]) -> Flavor:
    """Write a flavor from model values (without `flavorid`: a fresh one); raises NotUnique."""
    services.policy.check(context, "os_compute_api:os-flavor-manage:create")
    made = {**values, "flavorid": values.get("flavorid") or ids.new_id()}

    def work(session: orm.Session) -> Flavor:
        taken = session.execute(sa.select(Flavor.flavorid, Flavor.name).where(
            sa.or_(Flavor.flavorid == made["flavorid"], Flavor.name == made["name"]))).first()
        if taken is not None:
            what = f"ID {made['flavorid']}" if taken.flavorid == made["flavorid"] else f"name {made['name']}"
            raise errors.NotUnique(f"Flavor with {what} already exists.", resource="flavor", id=made["flavorid"])
        flavor = Flavor(**made)
        session.add(flavor)
        return flavor

    try:
        return services.db.write(work)
    except exc.IntegrityError as error:
        raise errors.NotUnique(resource="Flavor", id=made["name"]) from error


def change(services: Services, context: RequestContext, action: str, flavor_id: str,
           **values: Any) -> Flavor:
    """Set columns of a flavor under the policy `action`; returns it."""
    services.policy.check(context, action)

    def work(session: orm.Session) -> Flavor:
        flavor = find(session, context, flavor_id)
        for key, value in values.items():
            setattr(flavor, key, value)
        return flavor

    return services.db.write(work)


def delete(services: Services, context: RequestContext, flavor_id: str) -> None:
    """Remove a flavor; servers made from it keep their copy."""
    services.policy.check(context, "os_compute_api:os-flavor-manage:delete")

    def work(session: orm.Session) -> None:
        flavor = find(session, context, flavor_id)
        session.execute(sa.delete(FlavorAccess).where(FlavorAccess.flavor_id == flavor.id))
        session.delete(flavor)

    services.db.write(work)


def edit_extra_specs(services: Services, context: RequestContext, action: str, flavor_id: str, *,
                     put: Mapping[str, str] | None = None, drop: str | None = None) -> dict[str, Any]:
    """Merge `put` into a flavor's extra specs, or take `drop` out; returns what is there then."""
    services.policy.check(context, action)

    def work(session: orm.Session) -> dict[str, Any]:
        flavor = find(session, context, flavor_id)
        services.db.lock_row(session, Flavor, Flavor.id == flavor.id)
        session.refresh(flavor)
        specs = {**flavor.extra_specs, **(put or {})}
        if drop is not None and specs.pop(drop, None) is None:
            raise spec_not_found(flavor_id, drop)
        flavor.extra_specs = specs
        return specs

    return services.db.write(work)


def spec_not_found(flavor_id: str, key: str) -> errors.NotFound:
    """Return the error for an extra spec that is not there."""
    return errors.NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.", resource="extra_spec", id=key)


def access_list(services: Services, context: RequestContext, flavor_id: str) -> Sequence[str]:
    """Return the projects that may use a flavor; raises NotFound for a public one."""
    services.policy.check(context, "os_compute_api:os-flavor-access")
    with services.db.reading() as session:
        flavor = find(session, context, flavor_id)
        if flavor.is_public:
            raise errors.NotFound("Access list not available for public flavors.", resource="flavor", id=flavor_id)
        return _projects(session, flavor)


def _projects(session: orm.Session, flavor: Flavor) -> Sequence[str]:
    return session.scalars(sa.select(FlavorAccess.project_id).where(FlavorAccess.flavor_id == flavor.id)
                           .order_by(FlavorAccess.project_id)).all()


def grant(services: Services, context: RequestContext, flavor_id: str, project: str, *,
          refuse_public: bool) -> Sequence[str]:
    """Let a project use a flavor; raises Invalid for an unknown project, Conflict when it may already."""
    services.policy.check(context, "os_compute_api:os-flavor-access:add_tenant_access")

    def work(session: orm.Session) -> Sequence[str]:
        flavor = find(session, context, flavor_id)
        if flavor.is_public and refuse_public:
            raise errors.Conflict(reason="Can not add access to a public flavor.")
        project_id = _known_project(session, project)
        if session.get(FlavorAccess, (flavor.id, project_id)) is not None:
            raise errors.Conflict(reason=f"Flavor access already exists for flavor {flavor_id} and project "
                                         f"{project} combination.")
        session.add(FlavorAccess(flavor_id=flavor.id, project_id=project_id))
        session.flush()
        return _projects(session, flavor)

    return services.db.write(work)


def revoke(services: Services, context: RequestContext, flavor_id: str, project: str) -> Sequence[str]:
    """Take a flavor away from a project; raises NotFound when it had no access."""
    services.policy.check(context, "os_compute_api:os-flavor-access:remove_tenant_access")

    def work(session: orm.Session) -> Sequence[str]:
        flavor = find(session, context, flavor_id)
        access = session.get(FlavorAccess, (flavor.id, _known_project(session, project)))
        if access is None:
            raise errors.NotFound(f"Flavor access not found for {flavor_id} / {project} combination.",
                                  resource="flavor_access", id=flavor_id)
        session.delete(access)
        session.flush()
        return _projects(session, flavor)

    return services.db.write(work)


def _known_project(session: orm.Session, project: str) -> str:
    project_id = ids.canonical(project)
    if project_id is None or session.get(Project, project_id) is None:
        raise errors.Invalid(reason=f"Project ID {project} is not a valid project.")
    return project_id
