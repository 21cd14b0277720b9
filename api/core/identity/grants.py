"""Verbs on grants: the roles of users and groups on projects, on domains and on the system."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.identity import rows as identity_rows
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain, Group, GroupRoleAssignment, Project, Role, RoleAssignment, User
from hostler.identity import admin_project
from hostler.identity import roles as role_names

_ACTORS: Final[dict[str, Any]] = {"user": User, "group": Group}
_GRANTS: Final[dict[str, Any]] = {"user": RoleAssignment, "group": GroupRoleAssignment}


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a role is held: `kind` is project, domain or system; `id` as the caller wrote it."""

    kind: str
    id: str = role_names.SYSTEM_ID


@dataclasses.dataclass(frozen=True)
class Actor:
    """Who holds a role: `kind` is user or group; `id` as the caller wrote it."""

    kind: str
    id: str


def grant(services: Services, context: RequestContext, target: Target, actor: Actor, role_id: str) -> None:
    """Give a role; may be repeated. Raises NotFound for anything that does not exist."""
    _check(services, context, "identity:create_grant", target, actor, role_id)
    model = _GRANTS[actor.kind]

    def work(session: orm.Session) -> None:
        key = _key(session, target, actor, role_id)
        if session.get(model, key) is None:
            session.add(model(**key))

    try:
        services.db.write(work)
    except exc.IntegrityError:
        # Either another request granted it at the same time, or something it names was deleted: the retry decides.
        services.db.write(work)
    finally:
        services.identity.forget()


def revoke(services: Services, context: RequestContext, target: Target, actor: Actor, role_id: str) -> None:
    """Take a role; raises NotFound when it was not given."""
    _check(services, context, "identity:revoke_grant", target, actor, role_id)

    def work(session: orm.Session) -> None:
        row = session.get(_GRANTS[actor.kind], _key(session, target, actor, role_id))
        if row is None:
            raise _no_such_grant(role_id)
        session.delete(row)

    try:
        services.db.write(work)
    finally:
        services.identity.forget()


def check_grant(services: Services, context: RequestContext, target: Target, actor: Actor, role_id: str) -> None:
    """Raise NotFound unless the role was given there."""
    _check(services, context, "identity:check_grant", target, actor, role_id)
    with services.db.reading() as session:
        if session.get(_GRANTS[actor.kind], _key(session, target, actor, role_id)) is None:
            raise _no_such_grant(role_id)


def list_grants(services: Services, context: RequestContext, target: Target, actor: Actor) -> list[Role]:
    """Return the roles given there, by name; those that a user has through groups are not among them."""
    _check(services, context, "identity:list_grants", target, actor)
    model = _GRANTS[actor.kind]
    with services.db.reading() as session:
        row = identity_rows.must_exist(session, _ACTORS[actor.kind], actor.kind, actor.id)
        target_id = _target_id(session, target)
        return list(session.execute(
            sa.select(Role).join(model, model.role_id == Role.id)
            .where(getattr(model, f"{actor.kind}_id") == row.id, model.target_type == target.kind,
                   model.target_id == target_id).order_by(Role.name)).scalars())


def _check(services: Services, context: RequestContext, action: str, target: Target, actor: Actor,
           role_id: str = "") -> None:
    """Raise Forbidden unless the caller may do `action` to a grant; what it names need not exist."""
    actor_id, role_id, target_id = (ids.canonical(value) or value for value in (actor.id, role_id, target.id))
    with services.db.reading() as session:
        holder, role = session.get(_ACTORS[actor.kind], actor_id), session.get(Role, role_id)
        project = session.get(Project, target_id) if target.kind == "project" else None
        domain_id = target_id if target.kind == "domain" else project.domain_id if project is not None else ""
        protected = admin_project.is_it(services.conf, project, session.get(Domain, domain_id))
    services.policy.check(context, action, {
        "user_id": actor_id if actor.kind == "user" else "",
        "user_domain_id": holder.domain_id if holder is not None else "", "domain_id": domain_id,
        "role": role.name if role is not None else "", "protected": protected})


def _key(session: orm.Session, target: Target, actor: Actor, role_id: str) -> dict[str, str]:
    """Return the assignment's primary key after checking that everything it names exists."""
    holder = identity_rows.must_exist(session, _ACTORS[actor.kind], actor.kind, actor.id)
    role = identity_rows.must_exist(session, Role, "role", role_id)
    return {f"{actor.kind}_id": holder.id, "target_type": target.kind, "target_id": _target_id(session, target),
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
