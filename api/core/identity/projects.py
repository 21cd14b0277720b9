"""Verbs on projects and their tags."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.identity import rows as identity_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain, Project, User
from hostler.identity import admin_project, removal
from hostler.identity import roles as role_names
from hostler.query.paging import Page, Query
from hostler.query.resources import declare

PROJECT = declare(Project)


def list_projects(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of all projects, or of those in the token's domain."""
    services.policy.check(context, "identity:list_projects", identity_rows.list_target(context))
    return identity_rows.list_rows(services, PROJECT, query, *identity_rows.in_domain(context, Project.domain_id))


def list_user_projects(services: Services, context: RequestContext, user_id: str, query: Query) -> Page:
    """Return a page of the enabled projects on which the user has a role."""
    user = identity_rows.find(services, context, User, user_id, "identity:list_user_projects",
                              identity_rows.user_target)
    return identity_rows.list_rows(
        services, PROJECT, query, Project.enabled.is_(True), Project.id.in_(_targets(user.id, "project")),
        Project.domain_id.in_(sa.select(Domain.id).where(Domain.enabled.is_(True))))


def projects_of(services: Services, user_id: str) -> list[Project]:
    """Return the projects a token for the user could be scoped to, by name."""
    with services.db.reading() as session:
        return list(session.execute(
            sa.select(Project).join(Domain, Domain.id == Project.domain_id)
            .where(Project.enabled.is_(True), Domain.enabled.is_(True), Project.id.in_(_targets(user_id, "project")))
            .order_by(Project.name, Project.id)).scalars())


def domains_of(services: Services, user_id: str) -> list[Domain]:
    """Return the domains a token for the user could be scoped to, by name."""
    with services.db.reading() as session:
        return list(session.execute(
            sa.select(Domain).where(Domain.enabled.is_(True), Domain.id.in_(_targets(user_id, "domain")))
            .order_by(Domain.name, Domain.id)).scalars())


def has_system_role(services: Services, user_id: str) -> bool:
    """Return whether a token for the user could be scoped to the system."""
    with services.db.reading() as session:
        return session.execute(_targets(user_id, "system").limit(1)).first() is not None


def get_project(services: Services, context: RequestContext, project_id: str,
                action: str = "identity:get_project") -> Project:
    """Return one project; raises NotFound and Forbidden."""
    return identity_rows.find(services, context, Project, project_id, action,
                              lambda session, project: _target(services, session, context, project))


def create_project(services: Services, context: RequestContext, values: dict[str, Any]) -> Project:
    """Create a project from name, description, enabled, domain_id, parent_id, tags, options and extra attributes.

    There is no tree of projects: `parent_id` may name the domain only. Raises Invalid and Conflict.
    """
    services.policy.check(context, "identity:create_project", identity_rows.new_target(
        context, values.get("domain_id") or values.get("parent_id")))

    def work(session: orm.Session) -> Project:
        try:
            domain = identity_rows.domain_for(session, context,
                                              values.get("domain_id") or _parent_domain(session, values))
        except errors.NotFound as error:  # the reference answers 400 for a project, and 404 for a user
            raise errors.Invalid(reason=str(error)) from error
        _check_parent(values, domain.id)
        project = Project(id=ids.new_id(), name=values["name"], description=values.get("description") or "",
                          enabled=values.get("enabled", True), domain_id=domain.id, tags=values.get("tags", []))
        identity_rows.set_attributes(project, values)
        _refuse_admin_name(services, context, project, domain)
        session.add(project)
        return project

    return identity_rows.store(services, work, noun="project", name=values["name"])


def update_project(services: Services, context: RequestContext, project_id: str, changes: dict[str, Any],
                   action: str = "identity:update_project") -> Project:
    """Change what `create_project` takes, but for the domain. Raises Invalid and Conflict."""
    found = get_project(services, context, project_id, action)

    def work(session: orm.Session) -> Project:
        project = identity_rows.must_exist(session, Project, "project", found.id)
        asked = changes.get("domain_id")
        if asked is not None and (ids.canonical(asked) or asked) != project.domain_id:
            raise errors.Invalid(reason="The domain of a project cannot be changed.")
        _check_parent(changes, project.domain_id)
        identity_rows.check_immutable(project, changes)
        identity_rows.set_attributes(project, changes, "name", "description", "enabled", "tags")
        _refuse_admin_name(services, context, project, session.get(Domain, project.domain_id))
        return project

    return identity_rows.store(services, work, noun="project", name=str(changes.get("name", found.name)))


def delete_project(services: Services, context: RequestContext, project_id: str) -> None:
    """Delete a project that holds nothing; raises InUse naming what it holds."""
    found = get_project(services, context, project_id, "identity:delete_project")

    def work(session: orm.Session) -> None:
        # Requests that add to the project hold this row while they count its quota, so nothing is added concurrently.
        services.db.lock_row(session, Project, Project.id == found.id)
        identity_rows.check_immutable(identity_rows.must_exist(session, Project, "project", found.id))
        removal.remove_project(session, found.id)

    identity_rows.store(services, work, noun="project", name=found.name)


def _targets(user_id: str, target_type: str) -> sa.Select[tuple[str]]:
    held = role_names.held_by(user_id).subquery()
    return sa.select(held.c.target_id).where(held.c.target_type == target_type)


def _target(services: Services, session: orm.Session, context: RequestContext, project: Project) -> dict[str, Any]:
    held = role_names.held_by(context.user_id or "").subquery()
    is_member = session.execute(sa.select(held.c.role_id).where(
        held.c.target_type == "project", held.c.target_id == project.id).limit(1)).first() is not None
    return {"project_id": project.id, "member_id": context.user_id if is_member else "",
            "domain_id": project.domain_id,
            "protected": admin_project.is_it(services.conf, project, session.get(Domain, project.domain_id))}


def _refuse_admin_name(services: Services, context: RequestContext, project: Project, domain: Domain | None) -> None:
    """Raise Forbidden where somebody else than the cloud's administrator would make a project the admin project."""
    if not context.is_admin and admin_project.is_it(services.conf, project, domain):
        raise errors.Forbidden("Only the cloud's administrator may give a project the admin project's name.")


def _parent_domain(session: orm.Session, values: dict[str, Any]) -> str | None:
    parent = values.get("parent_id")
    inside = parent and (ids.canonical(parent) or parent)
    return inside if inside and session.get(Domain, inside) is not None else None


def _check_parent(values: dict[str, Any], domain_id: str) -> None:
    parent = values.get("parent_id")
    if parent is not None and (ids.canonical(parent) or parent) != domain_id:
        raise errors.Invalid(reason="Projects have no other parent than their domain.")
    if values.get("is_domain"):
        raise errors.Invalid(reason="A project cannot act as a domain.")
