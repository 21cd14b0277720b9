"""Roles: the built-in ones, what each implies, and which roles a user holds on a scope."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import GroupMember, GroupRoleAssignment, Role, RoleAssignment
from hostler.identity.tokens import Scope

ADMIN, MANAGER, MEMBER, READER, SERVICE = BUILT_IN = ("admin", "manager", "member", "reader", "service")
# Each role implies the next, and so all that follow.
IMPLIED = {ADMIN: MANAGER, MANAGER: MEMBER, MEMBER: READER}
SYSTEM_ID = "system"


def with_implied(names: Iterable[str]) -> set[str]:
    """Return the names and everything they imply."""
    held: set[str] = set()
    for name in names:
        step: str | None = name
        while step is not None and step not in held:
            held.add(step)
            step = IMPLIED.get(step)
    return held


def target_of(scope: Scope) -> tuple[str, str] | None:
    """Return (target_type, target_id) of the assignments that count for a scope; None for an unscoped one."""
    if scope.kind == "unscoped":
        return None
    return scope.kind, scope.id or SYSTEM_ID


def held_by(user_id: str) -> sa.CompoundSelect[tuple[str, str, str]]:
    """Return the statement for (target_type, target_id, role_id) of what a user was given, also through groups."""
    through = GroupRoleAssignment
    return sa.union(
        sa.select(RoleAssignment.target_type, RoleAssignment.target_id, RoleAssignment.role_id)
        .where(RoleAssignment.user_id == user_id),
        sa.select(through.target_type, through.target_id, through.role_id)
        .join(GroupMember, GroupMember.group_id == through.group_id).where(GroupMember.user_id == user_id))


def assigned(session: orm.Session, user_id: str, scope: Scope) -> dict[str, str]:
    """Return name → id of the roles assigned to the user, or to a group of theirs, on the scope itself."""
    target = target_of(scope)
    if target is None:
        return {}
    held = held_by(user_id).subquery()
    query = (sa.select(Role.name, Role.id).join(held, held.c.role_id == Role.id)
             .where(held.c.target_type == target[0], held.c.target_id == target[1]))
    return dict(session.execute(query).tuples().all())


def effective(session: orm.Session, user_id: str, scope: Scope) -> dict[str, str]:
    """Return name → id of the roles the user has on the scope, implied ones too."""
    held = assigned(session, user_id, scope)
    return held and expand(session, held)


def expand(session: orm.Session, held: dict[str, str]) -> dict[str, str]:
    """Return `held` and what it implies, as far as those roles exist."""
    missing = with_implied(held) - held.keys()
    if not missing:
        return held
    query = sa.select(Role.name, Role.id).where(Role.name.in_(missing))
    return {**held, **dict(session.execute(query).tuples().all())}
