"""Verbs on roles. The built-in ones cannot be renamed or deleted: the policy rules of every face name them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import orm

from api.core.identity import rows as identity_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Base, Role
from hostler.identity import removal
from hostler.identity import roles as role_names
from hostler.query.paging import Page, Query
from hostler.query.resources import declare

ROLE = declare(Role)


def list_roles(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of the roles."""
    services.policy.check(context, "identity:list_roles", {})
    return identity_rows.list_rows(services, ROLE, query)


def get_role(services: Services, context: RequestContext, role_id: str, action: str = "identity:get_role") -> Role:
    """Return one role; raises NotFound and Forbidden."""
    return identity_rows.find(services, context, Role, role_id, action, identity_rows.any_target)


def create_role(services: Services, context: RequestContext, values: dict[str, Any]) -> Role:
    """Create a role from name, description, options and extra attributes; raises Conflict."""
    services.policy.check(context, "identity:create_role", {})
    if values.get("domain_id") is not None:
        raise errors.NotImplementedHere(feature="A role of one domain")

    def work(session: orm.Session) -> Role:
        role = Role(id=ids.new_id(), name=values["name"], description=values.get("description"))
        identity_rows.set_attributes(role, values)
        session.add(role)
        return role

    return identity_rows.store(services, work, noun="role", name=values["name"])


def update_role(services: Services, context: RequestContext, role_id: str, changes: dict[str, Any]) -> Role:
    """Change a role; raises Conflict, and Forbidden for the name of a built-in role."""
    found = get_role(services, context, role_id, "identity:update_role")
    if changes.get("name", found.name) != found.name:
        _refuse_built_in(found)

    def work(session: orm.Session) -> Role:
        role = identity_rows.must_exist(session, Role, "role", found.id)
        identity_rows.check_immutable(role, changes)
        identity_rows.set_attributes(role, changes, "name", "description")
        return role

    return identity_rows.store(services, work, noun="role", name=str(changes.get("name", found.name)))


def delete_role(services: Services, context: RequestContext, role_id: str) -> None:
    """Delete a role and take it from everybody; raises Forbidden for a built-in one."""
    found = get_role(services, context, role_id, "identity:delete_role")
    _refuse_built_in(found)

    def work(session: orm.Session) -> None:
        identity_rows.check_immutable(identity_rows.must_exist(session, Role, "role", found.id))
        removal.remove_rows(session, Base.metadata.tables["roles"], [found.id])

    identity_rows.store(services, work, noun="role", name=found.name)


def roles_by_name(services: Services) -> dict[str, Role]:
    """Return every role that exists."""
    return {role.name: role for role in identity_rows.list_rows(services, ROLE, Query()).rows}


def _refuse_built_in(role: Role) -> None:
    if role.name in role_names.BUILT_IN:
        raise errors.Forbidden(f"The role {role.name} is built in and cannot be renamed or deleted.")
