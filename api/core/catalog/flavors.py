"""Flavors: the sizes of servers, and which projects may use the private ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.catalog.offerings import Offering
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Flavor, FlavorAccess
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

FLAVOR: Final = declare(Flavor, key="flavorid")


# A flavor's id is any text, as users see it.
FLAVORS: Final = Offering[Flavor](
    noun="flavor", model=Flavor, key=Flavor.flavorid, access=FlavorAccess, owner=FlavorAccess.flavor_id,
    specs="os_compute_api:os-flavor-extra-specs:", listing="os_compute_api:os-flavor-access",
    adding="os_compute_api:os-flavor-access:add_tenant_access",
    removing="os_compute_api:os-flavor-access:remove_tenant_access",
    taken="Flavor access already exists for flavor {id} and project {project} combination.")
find = FLAVORS.find


def show(services: Services, context: RequestContext, flavor_id: str) -> Flavor:
    """Return one flavor; raises NotFound."""
    with services.db.reading() as session:
        return find(session, context, flavor_id)


def list_flavors(services: Services, context: RequestContext, query: Query, *, is_public: bool | None = True) -> Page:
    """Return a page of the flavors that are public or not (None: both; for administrators, others see what they may
    use); raises Invalid for an unknown marker."""
    scope = FLAVORS.scope(context, is_public)
    if not context.is_admin:
        scope.append(Flavor.disabled.is_(False))
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
