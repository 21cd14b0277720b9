"""Security groups: list, show, create, change, delete. Each project has one named `default`, made when first needed."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.scope import (
    Caller,
    claim_quota,
    owner_of_new,
    set_changed,
    visible,
    with_shared,
)
from api.core.network.verbs import Verbs, each
from hostler import errors, ids
from hostler.db.models import PortSecurityGroup, Project, SecurityGroup, SecurityGroupRule
from hostler.query.expressions import And, Compare, Operator
from hostler.query.paging import Query
from hostler.query.resources import declare
from hostler.resources.network import security_groups as groups
from hostler.resources.network import sharing

SECURITY_GROUP: Final = declare(SecurityGroup)


@dataclasses.dataclass(frozen=True)
class GroupRecord:
    """A group with its rules, and whether it is shared with the caller."""

    row: SecurityGroup
    rules: tuple[SecurityGroupRule, ...] = ()
    shared: bool = False


def remotes_of(caller: Caller, rules: Sequence[SecurityGroupRule]) -> dict[str, tuple[str, str]]:
    """Return name and project of the groups that rules admit, by id, but for those that the caller does not see."""
    remote = {rule.remote_group_id for rule in rules if rule.remote_group_id is not None}
    with caller.services.db.reading() as session:
        return {row.id: (row.name, row.project_id) for row in session.execute(
            sa.select(SecurityGroup.id, SecurityGroup.name, SecurityGroup.project_id)
            .where(SecurityGroup.id.in_(remote), visible(caller, SecurityGroup)))} if remote else {}


def _change(session: orm.Session, caller: Caller, group: SecurityGroup, values: Mapping[str, Any]) -> list[str]:
    caller.check("update_security_group", group.project_id)
    if "name" in values and values["name"] != group.name:
        if group.is_default:
            raise errors.Conflict("Updating default security group not allowed.", reason="default group")
        _refuse_default_name(values)
    if values.get("stateful", group.stateful) != group.stateful and _is_used(session, group.id):
        raise _in_use(group.id)
    set_changed(group, values)
    session.flush()
    return []


def _remove(session: orm.Session, caller: Caller, group: SecurityGroup) -> list[str]:
    """Delete a group, and the rules of others that admit its members; raises InUse while ports are in it.

    A default group only administrators may delete; the project gets a new one when it next needs one.
    """
    caller.check("delete_security_group", group.project_id)
    if _is_used(session, group.id):
        raise _in_use(group.id)
    if group.is_default and not caller.sees_all:
        raise errors.Conflict("Insufficient rights for removing default security group.", reason="default group")
    admitting = session.scalars(sa.select(SecurityGroupRule.group_id).distinct().where(
        SecurityGroupRule.remote_group_id == group.id, SecurityGroupRule.group_id != group.id)).all()
    session.execute(sa.delete(SecurityGroupRule).where(sa.or_(
        SecurityGroupRule.group_id == group.id, SecurityGroupRule.remote_group_id == group.id)))
    sharing.forget(session, [group.id])
    session.delete(group)
    session.flush()
    return groups.notify_hosts(session, caller.context, admitting, rules_changed=True)


def _is_used(session: orm.Session, group_id: str) -> bool:
    return session.scalars(sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group_id)
                           .limit(1)).first() is not None


def _in_use(group_id: str) -> errors.InUse:
    return errors.InUse(f"Security Group {group_id} in use.", resource="security group", id=group_id, reason="ports")


def _project_asked_for(caller: Caller, query: Query) -> str | None:
    """Return the project whose groups are listed: the caller's, but for administrators who name another."""
    parts = query.where.parts if isinstance(query.where, And) else (query.where,)
    named = {value for part in parts if isinstance(part, Compare) and part.path == "project_id"
             for value in ([part.value] if part.operator is Operator.EQ else
                           part.value if part.operator is Operator.IN else [])}
    return ids.canonical(str(named.pop())) if caller.sees_all and len(named) == 1 else caller.project_id


def _ensure_default(caller: Caller, query: Query) -> None:
    project_id = _project_asked_for(caller, query)
    with caller.services.db.reading() as session:
        there = session.scalars(sa.select(SecurityGroup.id).where(SecurityGroup.default_of == project_id)).first()
    if there is None and project_id:
        def work(session: orm.Session) -> tuple[None, list[str]]:
            if session.get(Project, project_id) is not None:
                groups.ensure_default(session, project_id)
            return None, []
        caller.write(work)


def _records(session: orm.Session, caller: Caller, rows: Sequence[SecurityGroup]) -> list[GroupRecord]:
    rules: defaultdict[str, list[SecurityGroupRule]] = defaultdict(list)
    for rule in session.scalars(
            sa.select(SecurityGroupRule).where(SecurityGroupRule.group_id.in_([row.id for row in rows]))
            .order_by(SecurityGroupRule.created_at, SecurityGroupRule.id)):
        rules[rule.group_id].append(rule)
    shared = sharing.shared_among(session, [row.id for row in rows], caller.project_id)
    return [GroupRecord(row, tuple(rules[row.id]), row.id in shared) for row in rows]


def _create(session: orm.Session, caller: Caller, values: Mapping[str, Any]) -> SecurityGroup:
    project_id = owner_of_new(session, caller, values)
    caller.check("create_security_group", project_id)
    _refuse_default_name(values)
    claim_quota(caller, session, project_id, "security_groups")
    group = SecurityGroup(**{"id": ids.new_id(), **values, "project_id": project_id})
    session.add(group)
    session.flush()
    rules = groups.first_rules(session, group)
    if rules:
        claim_quota(caller, session, project_id, "security_group_rules", len(rules))
    session.add_all(rules)
    session.flush()
    return group


def _refuse_default_name(values: Mapping[str, Any]) -> None:
    if str(values.get("name", "")).lower() == groups.DEFAULT:
        raise errors.NotUnique("Default security group already exists.", resource="default security group", id="")


VERBS: Final = Verbs(resource=SECURITY_GROUP, records=_records, add=each(_create), change=_change, remove=_remove,
                     listed=with_shared, before_list=_ensure_default, in_use=_in_use)
