"""Verbs on groups and on who is in them."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from api.core.identity import rows as identity_rows
from api.core.identity.users import USER
from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Base, Domain, Group, GroupMember, User
from hostler.identity import removal
from hostler.query.paging import Page, Query
from hostler.query.resources import declare

GROUP: Final = declare(Group)


def list_groups(services: Services, context: RequestContext, query: Query) -> Page:
    """Return a page of all groups, or of those in the token's domain."""
    services.policy.check(context, "identity:list_groups", identity_rows.list_target(context))
    return identity_rows.list_rows(services, GROUP, query, *identity_rows.in_domain(context, Group.domain_id))


def list_user_groups(services: Services, context: RequestContext, user_id: str, query: Query) -> Page:
    """Return a page of the groups that a user is in; the token of a domain sees those of that domain."""
    user = identity_rows.find(services, context, User, user_id, "identity:list_groups_for_user",
                              identity_rows.user_target)
    return identity_rows.list_rows(
        services, GROUP, query, *identity_rows.in_domain(context, Group.domain_id),
        Group.id.in_(sa.select(GroupMember.group_id).where(GroupMember.user_id == user.id)))


def list_members(services: Services, context: RequestContext, group_id: str, query: Query) -> Page:
    """Return a page of the users in a group; the token of a domain sees those of that domain."""
    group = get_group(services, context, group_id, "identity:list_users_in_group")
    return identity_rows.list_rows(
        services, USER, query, *identity_rows.in_domain(context, User.domain_id),
        User.id.in_(sa.select(GroupMember.user_id).where(GroupMember.group_id == group.id)))


def get_group(services: Services, context: RequestContext, group_id: str, action: str = "identity:get_group") -> Group:
    """Return one group; raises NotFound and Forbidden."""
    return identity_rows.find(services, context, Group, group_id, action, identity_rows.group_target)


def create_group(services: Services, context: RequestContext, values: dict[str, Any]) -> Group:
    """Create a group from name, domain_id, description and extra attributes.

    Raises Conflict, NotFound for an unknown domain, and QuotaExceeded when the domain has `max_groups` of them.
    """
    services.policy.check(context, "identity:create_group", identity_rows.new_target(context, values.get("domain_id")))

    def work(session: orm.Session) -> Group:
        domain = identity_rows.domain_for(session, context, values.get("domain_id"))
        _refuse_more(services, session, domain.id)
        group = Group(id=ids.new_id(), name=values["name"], domain_id=domain.id,
                      description=values.get("description", ""))
        identity_rows.set_attributes(group, values)
        session.add(group)
        return group

    return identity_rows.store(services, work, noun="group", name=values["name"])


def update_group(services: Services, context: RequestContext, group_id: str, changes: dict[str, Any]) -> Group:
    """Change what `create_group` takes, but for the domain. Raises Invalid and Conflict."""
    found = get_group(services, context, group_id, "identity:update_group")

    def work(session: orm.Session) -> Group:
        group = identity_rows.must_exist(session, Group, "group", found.id)
        asked = changes.get("domain_id")
        if asked is not None and (ids.canonical(asked) or asked) != group.domain_id:
            raise errors.Invalid(reason="The domain of a group cannot be changed.")
        identity_rows.set_attributes(group, changes, "name", "description")
        return group

    return identity_rows.store(services, work, noun="group", name=str(changes.get("name", found.name)))


def delete_group(services: Services, context: RequestContext, group_id: str) -> None:
    """Delete a group with the roles that it was given; its members stay users."""
    found = get_group(services, context, group_id, "identity:delete_group")

    def work(session: orm.Session) -> None:
        identity_rows.must_exist(session, Group, "group", found.id)
        removal.remove_rows(session, Base.metadata.tables["user_groups"], [found.id])

    identity_rows.store(services, work, noun="group", name=found.name)


def add_member(services: Services, context: RequestContext, group_id: str, user_id: str) -> None:
    """Put a user into a group; may be repeated. Raises NotFound."""
    _check(services, context, "identity:add_user_to_group", group_id, user_id)

    def work(session: orm.Session) -> None:
        key = _key(session, group_id, user_id)
        if session.get(GroupMember, key) is None:
            session.add(GroupMember(**key))

    try:
        services.db.write(work)
    except exc.IntegrityError:
        # Another request did the same, or one of the two was deleted at the same time: the retry decides.
        services.db.write(work)
    finally:
        services.identity.forget()


def remove_member(services: Services, context: RequestContext, group_id: str, user_id: str) -> None:
    """Take a user out of a group; raises NotFound for one who is not in it."""
    _check(services, context, "identity:remove_user_from_group", group_id, user_id)

    def work(session: orm.Session) -> None:
        session.delete(_member(session, group_id, user_id))

    try:
        services.db.write(work)
    finally:
        services.identity.forget()


def check_member(services: Services, context: RequestContext, group_id: str, user_id: str) -> None:
    """Raise NotFound unless the user is in the group."""
    _check(services, context, "identity:check_user_in_group", group_id, user_id)
    with services.db.reading() as session:
        _member(session, group_id, user_id)


def _check(services: Services, context: RequestContext, action: str, group_id: str, user_id: str) -> None:
    """Raise Forbidden unless the caller may do `action` to a membership; neither of the two need exist."""
    group_id, user_id = (ids.canonical(value) or value for value in (group_id, user_id))
    with services.db.reading() as session:
        group, user = session.get(Group, group_id), session.get(User, user_id)
        target = identity_rows.group_target(session, group) if group is not None else {}
    services.policy.check(context, action, {
        "domain_id": "", "protected": False, **target,
        "user_domain_id": user.domain_id if user is not None else ""})


def _key(session: orm.Session, group_id: str, user_id: str) -> dict[str, str]:
    return {"group_id": identity_rows.must_exist(session, Group, "group", group_id).id,
            "user_id": identity_rows.must_exist(session, User, "user", user_id).id}


def _member(session: orm.Session, group_id: str, user_id: str) -> GroupMember:
    row = session.get(GroupMember, _key(session, group_id, user_id))
    if row is None:
        raise errors.NotFound(f"User {user_id[:64]} not found in group {group_id[:64]}.", resource="user",
                              id=user_id[:64])
    return row


def _refuse_more(services: Services, session: orm.Session, domain_id: str) -> None:
    # Groups of a domain are counted one creation at a time.
    services.db.lock_row(session, Domain, Domain.id == domain_id)
    held = session.execute(sa.select(sa.func.count()).select_from(Group)
                           .where(Group.domain_id == domain_id)).scalar_one()
    limit = services.conf.identity.max_groups
    if 0 <= limit <= held:
        raise errors.QuotaExceeded(overs="groups", requested=1, used=held, limit=limit)
