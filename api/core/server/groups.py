"""Server groups: servers that are to stand together or apart."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Server, ServerGroup, ServerGroupMember
from hostler.query.paging import Query, read_page
from hostler.query.resources import declare
from hostler.resources import quota

_POLICY = "os_compute_api:os-server-groups:"
HARD_POLICIES: Final = ("anti-affinity", "affinity")
POLICIES: Final = (*HARD_POLICIES, "soft-anti-affinity", "soft-affinity")
SERVER_GROUP: Final = declare(ServerGroup)


@dataclasses.dataclass(frozen=True)
class Group:
    """A group and the ids of its living servers."""

    row: ServerGroup
    members: Sequence[str]


def _not_found(group_id: str) -> errors.NotFound:
    return errors.NotFound(f"Instance group {group_id} could not be found.", resource="server_group", id=group_id)


def _find(session: orm.Session, context: RequestContext, group_id: str) -> ServerGroup:
    identifier = ids.canonical(group_id)
    group = session.get(ServerGroup, identifier) if identifier is not None else None
    if group is None or not (context.is_admin or group.project_id == context.project_id):
        raise _not_found(group_id)
    return group


def _members(session: orm.Session, group_ids: Sequence[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    query = (sa.select(ServerGroupMember.group_id, ServerGroupMember.server_id)
             .join(Server, Server.id == ServerGroupMember.server_id)
             .where(ServerGroupMember.group_id.in_(group_ids), Server.deleted_at.is_(None))
             .order_by(Server.created_at, Server.id))
    for group_id, server_id in session.execute(query):
        found[group_id].append(server_id)
    return found


def list_groups(services: Services, context: RequestContext, query: Query) -> Sequence[Group]:
    """Return a page of a project's groups, or of everybody's."""
    services.policy.check(context, _POLICY + "index")
    if query.project_id is None:
        services.policy.check(context, _POLICY + "index:all_projects")
    scope = [] if query.project_id is None else [ServerGroup.project_id == query.project_id]
    with services.db.reading() as session:
        rows = read_page(session, SERVER_GROUP, query, scope).rows
        members = _members(session, [row.id for row in rows])
    return [Group(row, members.get(row.id, ())) for row in rows]


def show(services: Services, context: RequestContext, group_id: str) -> Group:
    """Return one group; raises NotFound."""
    with services.db.reading() as session:
        row = _find(session, context, group_id)
        services.policy.check(context, _POLICY + "show", {"project_id": row.project_id})
        return Group(row, _members(session, [row.id]).get(row.id, ()))


def create(services: Services, context: RequestContext, *, name: str, policy: str, rules: dict[str, Any]) -> Group:
    """Write a group; raises Forbidden past the quota, Invalid for rules that the policy does not have."""
    services.policy.check(context, _POLICY + "create")
    if rules and policy != "anti-affinity":
        raise errors.Invalid(reason="Only anti-affinity policy supports rules.")

    def work(session: orm.Session) -> ServerGroup:
        try:
            quota.claim(services.db, session, services.conf, str(context.project_id), {"server_groups": 1})
        except errors.QuotaExceeded as error:
            raise errors.Forbidden("Quota exceeded, too many server groups.", action=_POLICY + "create") from error
        row = ServerGroup(name=name, policy=policy, rules=rules, project_id=context.project_id,
                          user_id=context.user_id)
        session.add(row)
        return row

    return Group(services.db.write(work), ())


def delete(services: Services, context: RequestContext, group_id: str) -> None:
    """Remove a group; its servers stay where they are."""

    def work(session: orm.Session) -> None:
        row = _find(session, context, group_id)
        services.policy.check(context, _POLICY + "delete", {"project_id": row.project_id})
        session.execute(sa.delete(ServerGroupMember).where(ServerGroupMember.group_id == row.id))
        session.delete(row)

    services.db.write(work)
