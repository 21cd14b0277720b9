"""Listing role assignments: what users and groups were given, and what that comes to for each user."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.identity import rows as identity_rows
from api.core.identity.grants import Target
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Domain, Group, GroupMember, GroupRoleAssignment, Project, Role, RoleAssignment, User
from hostler.identity import roles as role_names
from hostler.query.expressions import And, Compare, Operator
from hostler.query.fields import Condition, Field
from hostler.query.paging import Query, read_page
from hostler.query.resources import Resource, declare

_OWN_DOMAIN, _PROJECT_DOMAIN, _ACTOR_DOMAIN = orm.aliased(Domain), orm.aliased(Domain), orm.aliased(Domain)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssignmentFilter:
    """Which assignments to list; None does not narrow.

    `effective` spells implied roles out, and puts each member in the place of a group.
    """

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    target: Target | None = None
    effective: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Assignment:
    """One assignment with all it names.

    Of a group's, `user` is None; with both, the user has the role as a member of `group`. `prior_role` is the assigned
    role that implies `role`. Both are in effective lists only.
    """

    user: User | None
    group: Group | None
    actor_domain: Domain  # the user's; without one, the group's
    role: Role
    kind: str
    project: Project | None
    domain: Domain | None  # the project's, or the target itself
    prior_role: Role | None = None


class _Listed:
    """The assignments of users, or those of groups: what they can be asked for, and how they are read."""

    def __init__(self, kind: str, given: Any, holder: Any) -> None:
        table, holders, roles = given.__table__, holder.__table__, Role.__table__
        holder_id = table.c[f"{kind}_id"]
        self.resource: Resource = declare(
            given, {"holder_id": Field(holder_id), "holder_name": Field(holders.c.name),
                    "role_name": Field(roles.c.name)}, key=f"{kind}_id",
            source=table.join(holders, holders.c.id == holder_id).join(roles, roles.c.id == table.c.role_id))
        self.rows = (
            sa.select(given, holder, _ACTOR_DOMAIN, Role, Project, _PROJECT_DOMAIN, _OWN_DOMAIN)
            .join(holder, holder.id == holder_id).join(_ACTOR_DOMAIN, _ACTOR_DOMAIN.id == holder.domain_id)
            .join(Role, Role.id == given.role_id)
            .outerjoin(Project, sa.and_(given.target_type == "project", Project.id == given.target_id))
            .outerjoin(_PROJECT_DOMAIN, _PROJECT_DOMAIN.id == Project.domain_id)
            .outerjoin(_OWN_DOMAIN, sa.and_(given.target_type == "domain", _OWN_DOMAIN.id == given.target_id)))
        self.domain_id = sa.func.coalesce(Project.domain_id, sa.case((given.target_type == "domain", given.target_id)))


_OF_USERS: Final = _Listed("user", RoleAssignment, User)
_OF_GROUPS: Final = _Listed("group", GroupRoleAssignment, Group)
_ORDER: Final = tuple((field, False) for field in ("holder_name", "holder_id", "target_type", "target_id", "role_name"))


def list_assignments(services: Services, context: RequestContext, wanted: AssignmentFilter) -> list[Assignment]:
    """Return the assignments wanted, in one statement for users and one for groups; effective ones in two more.

    The token of a domain sees the assignments on it and on its projects, and those of its own user. Raises Invalid for
    filters that exclude each other.
    """
    user_id, group_id, role_id = (value and (ids.canonical(value) or value)
                                  for value in (wanted.user_id, wanted.group_id, wanted.role_id))
    services.policy.check(context, "identity:list_role_assignments", {
        **identity_rows.list_target(context), "user_id": user_id or ""})
    if group_id is not None and (user_id is not None or wanted.effective):
        raise errors.Invalid(reason="A group's assignments are neither a user's nor effective: specify one of "
                                    "group.id, user.id and effective with group.id left out.")
    own = user_id is not None and user_id == context.user_id
    asked: dict[str, str | None] = {
        "role_id": None if wanted.effective else role_id,  # a role that is implied has no row: filtered below
        "target_type": wanted.target.kind if wanted.target is not None else None,
        "target_id": wanted.target.id if wanted.target is not None else None}
    found: list[Assignment] = []
    with services.db.reading() as session:
        if group_id is None:
            scope = [] if own else identity_rows.in_domain(context, _OF_USERS.domain_id)
            found += _read(session, _OF_USERS, {**asked, "holder_id": user_id}, scope)
        if user_id is None or wanted.effective:
            scope = [] if own else identity_rows.in_domain(context, _OF_GROUPS.domain_id)
            if user_id is not None:
                scope.append(GroupRoleAssignment.group_id.in_(
                    sa.select(GroupMember.group_id).where(GroupMember.user_id == user_id)))
            of_groups = _read(session, _OF_GROUPS, {**asked, "holder_id": group_id}, scope)
            found += _of_members(session, of_groups, user_id) if wanted.effective else of_groups
        if wanted.effective:
            found = _with_implied(session, found)
    return [item for item in found if role_id is None or item.role.id == role_id]


def _read(session: orm.Session, listed: _Listed, asked: dict[str, str | None],
          scope: list[Condition]) -> list[Assignment]:
    query = Query(sort=_ORDER, where=And(tuple(Compare(field, Operator.EQ, value) for field, value in asked.items()
                                               if value is not None)))
    return [Assignment(user=holder if listed is _OF_USERS else None, group=holder if listed is _OF_GROUPS else None,
                       actor_domain=actor_domain, role=role, kind=given.target_type, project=project,
                       domain=project_domain or own_domain)
            for given, holder, actor_domain, role, project, project_domain, own_domain
            in read_page(session, listed.resource, query, scope, selection=listed.rows).rows]


def _of_members(session: orm.Session, found: list[Assignment], user_id: str | None) -> Iterator[Assignment]:
    """Yield each group's assignments once for each of its members, or for the one member."""
    groups = {item.group.id for item in found if item.group is not None}
    query = (sa.select(GroupMember.group_id, User, _ACTOR_DOMAIN).join(User, User.id == GroupMember.user_id)
             .join(_ACTOR_DOMAIN, _ACTOR_DOMAIN.id == User.domain_id)
             .where(GroupMember.group_id.in_(groups)).order_by(User.name, User.id))
    members: dict[str, list[tuple[User, Domain]]] = {}
    for group_id, user, domain in session.execute(
            query if user_id is None else query.where(GroupMember.user_id == user_id)):
        members.setdefault(group_id, []).append((user, domain))
    for item in found:
        for user, domain in members.get(item.group.id, ()) if item.group is not None else ():
            yield dataclasses.replace(item, user=user, actor_domain=domain)


def _with_implied(session: orm.Session, found: list[Assignment]) -> list[Assignment]:
    by_name = {role.name: role for role in session.execute(sa.select(Role)).scalars()}
    spelled: dict[tuple[str, str, str, str, str], Assignment] = {}
    for item in found:
        place = (item.user.id if item.user is not None else "", item.group.id if item.group is not None else "",
                 item.kind, item.project.id if item.project else item.domain.id if item.domain else "")
        spelled[(*place, item.role.id)] = item
        for name in role_names.with_implied([item.role.name]) - {item.role.name}:
            if name in by_name:
                spelled.setdefault((*place, by_name[name].id),
                                   dataclasses.replace(item, role=by_name[name], prior_role=item.role))
    return list(spelled.values())
