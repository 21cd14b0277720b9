"""Server groups: their policies, where their members are, and the check of the policy at the moment of a claim.

Two members that are scheduled at once do not see each other. So a claim for a member holds the group's row and checks
again before it is made.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import Allocation, Migration, ServerGroup, ServerGroupMember
from scheduler.request import Request

AFFINITY: Final = "affinity"  # all members on one host
ANTI_AFFINITY: Final = "anti-affinity"  # at most rules["max_server_per_host"] (1) members on a host
SOFT_AFFINITY: Final = "soft-affinity"  # prefer the members' hosts
SOFT_ANTI_AFFINITY: Final = "soft-anti-affinity"  # prefer hosts with few members

# Built once, for every request.
_GROUPS = sa.select(ServerGroup.id, ServerGroup.policy, ServerGroup.rules)
_GROUP = _GROUPS.where(ServerGroup.id == sa.bindparam("group"))
_GROUP_OF = _GROUPS.join(ServerGroupMember, ServerGroupMember.group_id == ServerGroup.id).where(
    ServerGroupMember.server_id == sa.bindparam("server"))


def max_per_host(rules: Mapping[str, Any]) -> int:
    """Return how many members one host may hold under anti-affinity."""
    return int(rules.get("max_server_per_host", 1))


def members_hosts(session: orm.Session, group_id: str, consumer_id: str) -> list[str]:
    """Return the host id of each other member that holds a claim, once a member and host.

    A member that moves may come back to the host that its migration holds: it counts on both.
    """
    others = sa.select(ServerGroupMember.server_id).where(
        ServerGroupMember.group_id == group_id, ServerGroupMember.server_id != consumer_id)
    member = sa.func.coalesce(Migration.server_id, Allocation.consumer_id)
    query = (sa.select(Allocation.host_id, member).outerjoin(Migration, Migration.id == Allocation.consumer_id)
             .where(sa.or_(Allocation.consumer_id.in_(others), Migration.server_id.in_(others))).distinct())
    return [row.host_id for row in session.execute(query)]


def completed(session: orm.Session, request: Request) -> Request:
    """Return the request with its group as the rows have it now; unchanged when there is no such group."""
    if request.group_id is not None:
        group = session.execute(_GROUP, {"group": request.group_id}).first()
    else:
        group = session.execute(_GROUP_OF, {"server": request.consumer_id}).first()
    if group is None:
        return dataclasses.replace(request, group_id=None)
    return dataclasses.replace(
        request, group_id=group.id, group_policy=group.policy, group_rules=dict(group.rules or {}),
        group_host_ids=tuple(members_hosts(session, group.id, request.consumer_id)))


def still_allows(session: orm.Session, request: Request, host_id: str) -> bool:
    """Lock the group's row and return whether its policy allows this host now."""
    if request.group_id is None or request.group_policy not in (AFFINITY, ANTI_AFFINITY):
        return True
    session.execute(sa.select(ServerGroup.id).where(ServerGroup.id == request.group_id).with_for_update())
    hosts = members_hosts(session, request.group_id, request.consumer_id)
    if request.group_policy == AFFINITY:
        return not hosts or host_id in hosts
    return hosts.count(host_id) < max_per_host(request.group_rules)
