"""Security groups of projects: the default group, names to ids, and which hosts a change concerns.

An operation of kind `network.apply_rules` takes a change of a group's rules or members to the hosts. `notify_hosts`
writes it in the transaction of the change, unless no port on a host is affected or one for the same group is still
pending (it will read what this transaction commits).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import (
    AddressGroup,
    DefaultRule,
    Host,
    Port,
    PortSecurityGroup,
    SecurityGroup,
    SecurityGroupRule,
)
from hostler.db.models.default_rule import PARENT
from hostler.operations.accept import Target
from hostler.operations.kinds import network as kinds
from hostler.resources import revisions
from hostler.resources.network import sharing
from hostler.resources.network.host_updates import accept_once

DEFAULT = "default"

# Changes of a group's members are collected for this many seconds before they go to the hosts.
GATHER_S = 1.0

# Built once, for every boot and delete.
_IDS: Any = sa.bindparam("ids", expanding=True)
_DEFAULT_OF = sa.select(SecurityGroup).where(SecurityGroup.default_of == sa.bindparam("project"))
DEFAULT_ID: Final = sa.select(SecurityGroup.id).where(
    SecurityGroup.default_of == sa.bindparam("project")).scalar_subquery()
_ADMITTING = orm.aliased(PortSecurityGroup)
_PLUGGED = sa.select(Port.id).where(Port.server_id == sa.bindparam("server"), sa.or_(
    sa.bindparam("port", type_=sa.String()).is_(None), Port.id == sa.bindparam("port", type_=sa.String())))
# Each stops at the first port it finds: a group may have very many.
_ELSEWHERE = (Port.host_id.is_not(None), Port.host_id != sa.bindparam("except_host"),
              sa.or_(Port.server_id.is_(None), Port.server_id != sa.bindparam("except_server")))
_GROUPS_OF_PORTS = sa.select(PortSecurityGroup.group_id).where(PortSecurityGroup.port_id.in_(_IDS)).distinct()
_ADMITTED_ON: sa.Select[Any] = sa.select(SecurityGroupRule.remote_group_id).distinct().join(
    PortSecurityGroup, PortSecurityGroup.group_id == SecurityGroupRule.group_id).join(
    Port, Port.id == PortSecurityGroup.port_id).where(
    Port.host_id == sa.bindparam("host"), SecurityGroupRule.remote_group_id.is_not(None))
_ADMITTED = sa.select(SecurityGroupRule.remote_group_id).distinct().where(
    SecurityGroupRule.remote_group_id.in_(_IDS),
    sa.exists().where(PortSecurityGroup.group_id == SecurityGroupRule.group_id, Port.id == PortSecurityGroup.port_id,
                      *_ELSEWHERE))
_SENT = sa.exists().where(SecurityGroupRule.remote_group_id == PortSecurityGroup.group_id,
                          _ADMITTING.group_id == SecurityGroupRule.group_id, _ADMITTING.port_id.in_(_PLUGGED))


def _admitted(*elsewhere: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    member = orm.aliased(PortSecurityGroup)
    return sa.exists().where(
        SecurityGroupRule.remote_group_id == PortSecurityGroup.group_id, member.group_id == SecurityGroupRule.group_id,
        Port.id == member.port_id, *elsewhere)


ARRIVED_IN: Final = sa.select(PortSecurityGroup.group_id).distinct().where(
    PortSecurityGroup.port_id.in_(_PLUGGED),
    sa.or_(_admitted(*_ELSEWHERE), sa.and_(~_SENT, _admitted(Port.host_id.is_not(None), _ELSEWHERE[-1]))))
_WITH_MEMBERS = sa.select(SecurityGroup.id).where(
    SecurityGroup.id.in_(_IDS),
    sa.exists().where(PortSecurityGroup.group_id == SecurityGroup.id, Port.id == PortSecurityGroup.port_id,
                      *_ELSEWHERE))


def ensure_default(session: orm.Session, project_id: str) -> SecurityGroup:
    """Return the project's default group; makes it, with the rules of the template, on first use."""
    group = session.scalars(_DEFAULT_OF, {"project": project_id}).one_or_none()
    if group is not None:
        return group
    group = SecurityGroup(id=ids.new_id(), name=DEFAULT, description="Default security group", project_id=project_id,
                          is_default=True, default_of=project_id)
    try:
        with session.begin_nested():
            session.add(group)
            session.flush()
            session.add_all(first_rules(session, group))
            session.flush()
    except exc.IntegrityError:
        # Another request made it just now; a locking read sees that on every database.
        return session.scalars(_DEFAULT_OF.with_for_update(read=True), {"project": project_id}).one()
    return group


def first_rules(session: orm.Session, group: SecurityGroup) -> list[SecurityGroupRule]:
    """Return the rules that a new group starts with: the template's for its kind, but for those that mean a group
    which is gone."""
    used = DefaultRule.used_in_default_sg if group.is_default else DefaultRule.used_in_non_default_sg
    template = session.scalars(sa.select(DefaultRule).where(used)
                               .order_by(DefaultRule.created_at, DefaultRule.id)).all()
    there = {None, PARENT}
    for model, column in ((SecurityGroup, "remote_group_id"), (AddressGroup, "remote_address_group_id")):
        named = {getattr(rule, column) for rule in template} - there
        there |= set(session.scalars(sa.select(model.id).where(model.id.in_(named)))) if named else set()
    return [SecurityGroupRule(
        group_id=group.id, project_id=group.project_id, description=rule.description,
        remote_group_id=group.id if rule.remote_group_id == PARENT else rule.remote_group_id,
        **{name: getattr(rule, name) for name in ("direction", "ethertype", "protocol", "port_min", "port_max",
                                                  "remote_ip_prefix", "remote_address_group_id")})
        for rule in template if {rule.remote_group_id, rule.remote_address_group_id} <= there]


def resolve(session: orm.Session, project_id: str, wanted: Sequence[str], default: str | None = None) -> list[str]:
    """Return the ids of groups given by name or id, `default` when none is given; shared ones by id alone.

    `default` is the id of the project's default group, when the caller knows it.

    Raises Invalid for one the project does not have, Conflict for a name that several groups have.
    """
    names = list(dict.fromkeys(wanted)) or [DEFAULT]
    found: list[str] = []
    others = [name for name in names if name != DEFAULT]
    spelled = [ids.canonical(name) or "" for name in others]
    rows = session.execute(
        sa.select(SecurityGroup.id, SecurityGroup.name).where(sa.or_(
            sa.and_(SecurityGroup.project_id == project_id, SecurityGroup.name.in_(others)),
            sa.and_(SecurityGroup.id.in_(spelled), sa.or_(SecurityGroup.project_id == project_id, sharing.shared_with(
                SecurityGroup.id, project_id)))))).all() if others else []
    for name in names:
        if name == DEFAULT:
            found.append(default or ensure_default(session, project_id).id)
            continue
        matching = ([row.id for row in rows if row.id == ids.canonical(name)]
                    or [row.id for row in rows if row.name == name])
        if not matching:
            raise errors.Invalid(reason=f"Security group {name} not found for project {ids.bare(project_id)}.")
        if len(matching) > 1:
            raise errors.Conflict(reason=f"Multiple security groups found matching '{name}'. Use an ID to be more "
                                         "specific.")
        found.append(matching[0])
    return list(dict.fromkeys(found))


def check_alike(session: orm.Session, group_ids: Collection[str]) -> None:
    """Raise Conflict for groups of one port of which some are stateless."""
    if len(group_ids) > 1 and len(set(session.scalars(
            sa.select(SecurityGroup.stateful).where(SecurityGroup.id.in_(group_ids)).distinct()))) > 1:
        raise errors.Conflict("Cannot apply both stateful and stateless security groups on the same port at the same "
                              "time", reason="stateful and stateless groups")


def affected_port_ids(session: orm.Session, group_ids: Collection[str]) -> list[str]:
    """Return the ports on hosts whose filters follow from `group_ids`: members, and those whose rules admit members."""
    members = sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(group_ids))
    admitting = (sa.select(PortSecurityGroup.port_id)
                 .join(SecurityGroupRule, SecurityGroupRule.group_id == PortSecurityGroup.group_id)
                 .where(SecurityGroupRule.remote_group_id.in_(group_ids)))
    return list(session.scalars(
        sa.select(Port.id).where(Port.host_id.is_not(None),
                                 sa.or_(Port.id.in_(members), Port.id.in_(admitting))).order_by(Port.id)))


def hosts_admitting(session: orm.Session, group_id: str) -> list[str]:
    """Return the names of the hosts that have a port with a rule that admits the group's members."""
    return list(session.scalars(
        sa.select(Host.name).join(Port, Port.host_id == Host.id)
        .join(PortSecurityGroup, PortSecurityGroup.port_id == Port.id)
        .join(SecurityGroupRule, SecurityGroupRule.group_id == PortSecurityGroup.group_id)
        .where(SecurityGroupRule.remote_group_id == group_id).distinct().order_by(Host.name)))


def groups_admitted_on(session: orm.Session, host_id: str) -> list[str]:
    """Return the ids of the groups whose members rules of the host's ports admit."""
    return list(session.scalars(_ADMITTED_ON, {"host": host_id}))


def groups_of(session: orm.Session, port_ids: Collection[str]) -> list[str]:
    """Return the ids of the groups that any of the ports is in."""
    return list(session.scalars(_GROUPS_OF_PORTS, {"ids": list(port_ids)}))


def notify_arrival(session: orm.Session, context: RequestContext, server_id: str, host_id: str | None, *,
                   port_id: str | None = None) -> list[str]:
    """Make the hosts admit the ports of a server (or one) that were just plugged on `host_id`; returns as
    `notify_hosts`.

    They were counted as members when they were put into their groups. So the message that plugged them had them too,
    if it had their groups: those that rules of the ports themselves admit.
    """
    concerned = session.scalars(ARRIVED_IN, {"server": server_id, "port": port_id, "except_server": server_id,
                                              "except_host": host_id or ""})
    return _accept(session, context, concerned, rules_changed=False)


def notify_hosts(session: orm.Session, context: RequestContext, group_ids: Collection[str], *, rules_changed: bool,
                 port_ids: Collection[str] = (), except_server: str | None = None,
                 except_host: str | None = None) -> list[str]:
    """Write what makes the hosts follow a change, and return the ids of the operations to wake after the commit.

    `rules_changed`: the rules of the groups are others, so their members are concerned; else members came or went,
    and only ports with a rule that admits members are. `port_ids` came into the groups, leave them or have other
    addresses, unless that was counted already; they exist still. `except_server` is the one that came or went,
    `except_host` knows.
    """
    concerned = _concerned(session, group_ids, rules_changed, except_server, except_host)
    if rules_changed:
        revisions.rules_changed(session, group_ids)
    else:
        revisions.members_changed(session, group_ids, port_ids)
    return _accept(session, context, concerned, rules_changed=rules_changed)


def _accept(session: orm.Session, context: RequestContext, group_ids: Iterable[str], *,
            rules_changed: bool) -> list[str]:
    return accept_once(session, context, kinds.APPLY_RULES, {
        Target("security_group", group_id): kinds.ApplyRules(security_group_id=group_id, members_only=not rules_changed)
        for group_id in group_ids}, delay_s=0 if rules_changed else GATHER_S)


def _concerned(session: orm.Session, group_ids: Collection[str], rules_changed: bool,
               except_server: str | None, except_host: str | None) -> set[str]:
    if not group_ids:
        return set()
    queries: list[sa.Select[Any]] = [_ADMITTED, *([_WITH_MEMBERS] if rules_changed else [])]
    asked = {"ids": list(group_ids), "except_server": except_server or "", "except_host": except_host or ""}
    return {group_id for query in queries for group_id in session.scalars(query, asked) if group_id is not None}
