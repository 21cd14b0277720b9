"""Verbs on role assignments: the roles of users on projects, on domains and on the system."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.identity import rows as identity_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain, Project, Role, RoleAssignment, User
from hostler.identity import admin_project
from hostler.identity import roles as role_names
from hostler.query.expressions import And, Compare, Operator
from hostler.query.fields import Field
from hostler.query.paging import Query, read_page
from hostler.query.resources import declare

_TABLE: Any = RoleAssignment.__table__
_USERS: Any = User.__table__
_ROLES: Any = Role.__table__
ASSIGNMENT: Final = declare(
    RoleAssignment, {"user_name": Field(_USERS.c.name), "role_name": Field(_ROLES.c.name)}, key="user_id",
    source=_TABLE.join(_USERS, _USERS.c.id == _TABLE.c.user_id).join(_ROLES, _ROLES.c.id == _TABLE.c.role_id))
_ORDER: Final = tuple((field, False) for field in ("user_name", "user_id", "target_type", "target_id", "role_name"))
_USER_DOMAIN, _PROJECT_DOMAIN, _OWN_DOMAIN = orm.aliased(Domain), orm.aliased(Domain), orm.aliased(Domain)
_ROWS: Final = (
    sa.select(RoleAssignment, User, _USER_DOMAIN, Role, Project, _PROJECT_DOMAIN, _OWN_DOMAIN)
    .join(User, User.id == RoleAssignment.user_id).join(_USER_DOMAIN, _USER_DOMAIN.id == User.domain_id)
    .join(Role, Role.id == RoleAssignment.role_id)
    .outerjoin(Project, sa.and_(RoleAssignment.target_type == "project", Project.id == RoleAssignment.target_id))
    .outerjoin(_PROJECT_DOMAIN, _PROJECT_DOMAIN.id == Project.domain_id)
    .outerjoin(_OWN_DOMAIN, sa.and_(RoleAssignment.target_type == "domain",
                                    _OWN_DOMAIN.id == RoleAssignment.target_id)))


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a role is held: `kind` is project, domain or system; `id` as the caller wrote it."""

    kind: str
    id: str = role_names.SYSTEM_ID


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssignmentFilter:
    """Which assignments to list; None does not narrow. `effective` spells implied roles out."""

    user_id: str | None = None
    role_id: str | None = None
    target: Target | None = None
    effective: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assignment:
    """One assignment with all it names. `prior_role` is the assigned role that implies `role` (effective lists)."""

    user: User
    user_domain: Domain
    role: Role
    kind: str
    project: Project | None
    domain: Domain | None  # the project's, or the target itself
    prior_role: Role | None = None


def grant(services: Services, context: RequestContext, target: Target, user_id: str, role_id: str) -> None:
    """Give a user a role; may be repeated. Raises NotFound for anything that does not exist."""
    _check(services, context, "identity:create_grant", target, user_id, role_id)

    def work(session: orm.Session) -> None:
        key = _key(session, target, user_id, role_id)
        if session.get(RoleAssignment, key) is None:
            session.add(RoleAssignment(**key))

    try:
        services.db.write(work)
    except exc.IntegrityError:
        # Either another request granted it at the same time, or something it names was deleted: the retry decides.
        services.db.write(work)
    finally:
        services.identity.forget()


def revoke(services: Services, context: RequestContext, target: Target, user_id: str, role_id: str) -> None:
    """Take a role from a user; raises NotFound when they do not have it."""
    _check(services, context, "identity:revoke_grant", target, user_id, role_id)

    def work(session: orm.Session) -> None:
        row = session.get(RoleAssignment, _key(session, target, user_id, role_id))
        if row is None:
            raise _no_such_grant(role_id)
        session.delete(row)

    try:
        services.db.write(work)
    finally:
        services.identity.forget()


def check_grant(services: Services, context: RequestContext, target: Target, user_id: str, role_id: str) -> None:
    """Raise NotFound unless the user has the role there."""
    _check(services, context, "identity:check_grant", target, user_id, role_id)
    with services.db.reading() as session:
        if session.get(RoleAssignment, _key(session, target, user_id, role_id)) is None:
            raise _no_such_grant(role_id)


def list_grants(services: Services, context: RequestContext, target: Target, user_id: str) -> list[Role]:
    """Return the roles the user was given there, by name."""
    _check(services, context, "identity:list_grants", target, user_id)
    with services.db.reading() as session:
        user = identity_rows.must_exist(session, User, "user", user_id)
        target_id = _target_id(session, target)
        return list(session.execute(
            sa.select(Role).join(RoleAssignment, RoleAssignment.role_id == Role.id)
            .where(RoleAssignment.user_id == user.id, RoleAssignment.target_type == target.kind,
                   RoleAssignment.target_id == target_id).order_by(Role.name)).scalars())


def list_assignments(services: Services, context: RequestContext, wanted: AssignmentFilter) -> list[Assignment]:
    """Return the assignments wanted, in one statement (two with implied roles).

    The token of a domain sees the assignments on it and on its projects, and those of its own user.
    """
    user_id = wanted.user_id and (ids.canonical(wanted.user_id) or wanted.user_id)
    services.policy.check(context, "identity:list_role_assignments", {
        **identity_rows.list_target(context), "user_id": user_id or ""})
    role_id = wanted.role_id and (ids.canonical(wanted.role_id) or wanted.role_id)
    target = wanted.target
    asked = {"user_id": user_id, "role_id": None if wanted.effective else role_id,
             "target_type": target and target.kind, "target_id": target and target.id}
    query = Query(sort=_ORDER, where=And(tuple(Compare(field, Operator.EQ, value) for field, value in asked.items()
                                               if value is not None)))
    scope = [] if user_id is not None and user_id == context.user_id else identity_rows.in_domain(
        context, sa.func.coalesce(Project.domain_id, sa.case(
            (RoleAssignment.target_type == "domain", RoleAssignment.target_id))))
    with services.db.reading() as session:
        found = [_assignment(row) for row in read_page(session, ASSIGNMENT, query, scope, selection=_ROWS).rows]
        if wanted.effective:  # a role that is implied has no row: it is filtered below
            found = _with_implied(session, found)
    return [item for item in found if role_id is None or item.role.id == role_id]


def _check(services: Services, context: RequestContext, action: str, target: Target, user_id: str,
           role_id: str = "") -> None:
    """Raise Forbidden unless the caller may do `action` to a grant; what it names need not exist."""
    user_id, role_id, target_id = (ids.canonical(value) or value for value in (user_id, role_id, target.id))
    with services.db.reading() as session:
        user, role = session.get(User, user_id), session.get(Role, role_id)
        project = session.get(Project, target_id) if target.kind == "project" else None
        domain_id = target_id if target.kind == "domain" else project.domain_id if project is not None else ""
        protected = admin_project.is_it(services.conf, project, session.get(Domain, domain_id))
    services.policy.check(context, action, {
        "user_id": user_id, "user_domain_id": user.domain_id if user is not None else "", "domain_id": domain_id,
        "role": role.name if role is not None else "", "protected": protected})


def _assignment(row: Any) -> Assignment:
    assignment, user, user_domain, role, project, project_domain, own_domain = row
    return Assignment(user=user, user_domain=user_domain, role=role, kind=assignment.target_type, project=project,
                      domain=project_domain or own_domain)


def _with_implied(session: orm.Session, found: list[Assignment]) -> list[Assignment]:
    by_name = {role.name: role for role in session.execute(sa.select(Role)).scalars()}
    spelled: dict[tuple[str, str, str, str], Assignment] = {}
    for item in found:
        place = (item.user.id, item.kind, item.project.id if item.project else item.domain.id if item.domain else "")
        spelled[(*place, item.role.id)] = item
        for name in role_names.with_implied([item.role.name]) - {item.role.name}:
            if name in by_name:
                spelled.setdefault((*place, by_name[name].id),
                                   dataclasses.replace(item, role=by_name[name], prior_role=item.role))
    return list(spelled.values())


def _key(session: orm.Session, target: Target, user_id: str, role_id: str) -> dict[str, str]:
    """Return the assignment's primary key after checking that everything it names exists."""
    user = identity_rows.must_exist(session, User, "user", user_id)
    role = identity_rows.must_exist(session, Role, "role", role_id)
    return {"user_id": user.id, "target_type": target.kind, "target_id": _target_id(session, target),
            "role_id": role.id}


def _target_id(session: orm.Session, target: Target) -> str:
    if target.kind == "system":
        return role_names.SYSTEM_ID
    model: type[Project] | type[Domain] = Project if target.kind == "project" else Domain
    found = identity_rows.must_exist(session, model, target.kind, target.id)
    return str(found.id)


def _no_such_grant(role_id: str) -> errors.NotFound:
    return errors.NotFound(f"Could not find role assignment with role: {role_id[:64]}.", resource="role assignment",
                           id=role_id[:64])
