"""The template of new security groups' rules: list and show for everybody, create and delete for administrators.

A rule is checked as one of a group is. Groups that are there stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network import security_group_rules
from api.core.network.scope import Caller, find, not_found
from hostler import errors, ids
from hostler.db.models import AddressGroup, DefaultRule, SecurityGroup
from hostler.db.models.default_rule import PARENT
from hostler.query.paging import Page, Query, read_page
from hostler.query.resources import declare

DEFAULT_RULE: Final = declare(DefaultRule)
MOST: Final = 100
_MEANING: Final = ("direction", "ethertype", "protocol", "port_min", "port_max", "remote_ip_prefix", "remote_group_id",
                   "remote_address_group_id")


def list_rules(caller: Caller, query: Query) -> Page:
    """Return a page of the template's rules."""
    with caller.services.db.reading() as session:
        return read_page(session, DEFAULT_RULE, query, [])


def show_rule(caller: Caller, identifier: str) -> DefaultRule:
    """Return one rule; raises NotFound."""
    with caller.services.db.reading() as session:
        return _find(session, identifier)


def create_rules(caller: Caller, bodies: Sequence[Mapping[str, Any]]) -> list[DefaultRule]:
    """Add rules, all or none; raises NotUnique for one that is there already for the same groups."""
    caller.check("create_default_security_group_rule", caller.project_id)

    def work(session: orm.Session) -> tuple[list[DefaultRule], list[str]]:
        rules = [_draft(session, caller, values) for values in bodies]
        there = list(session.scalars(sa.select(DefaultRule).with_for_update()))
        if len(there) + len(rules) > MOST:
            raise errors.Conflict(f"The template has at most {MOST} rules.", reason="rules of the template")
        for rule in rules:
            _refuse_duplicate(rule, there)
            there.append(rule)
        session.add_all(rules)
        session.flush()
        return rules, []
    return caller.write(work)


def delete_rule(caller: Caller, identifier: str) -> None:
    """Take a rule from the template; raises NotFound."""
    caller.check("delete_default_security_group_rule", caller.project_id)

    def work(session: orm.Session) -> tuple[None, list[str]]:
        session.delete(_find(session, identifier))
        return None, []
    caller.write(work)


def _draft(session: orm.Session, caller: Caller, values: Mapping[str, Any]) -> DefaultRule:
    used = {name: bool(values.get(name, preset)) for name, preset in (
        ("used_in_default_sg", False), ("used_in_non_default_sg", True))}
    group, blocks = values.get("remote_group_id") or None, values.get("remote_address_group_id") or None
    if group not in (None, PARENT):
        group = find(session, caller, SecurityGroup, str(group)).id
    if blocks is not None:
        blocks = find(session, caller, AddressGroup, str(blocks)).id
    return DefaultRule(**{
        **security_group_rules.meaning({**values, "remote_group_id": group, "remote_address_group_id": blocks}), **used,
        "id": ids.new_id(), "description": values.get("description", "")})


def _find(session: orm.Session, identifier: str) -> DefaultRule:
    row_id = ids.canonical(identifier)
    row = None if row_id is None else session.get(DefaultRule, row_id)
    if row is None:
        raise not_found(DefaultRule, identifier)
    return row


def _refuse_duplicate(rule: DefaultRule, there: Sequence[DefaultRule]) -> None:
    for other in there:
        if all(getattr(rule, name) == getattr(other, name) for name in _MEANING) and (
                rule.used_in_default_sg and other.used_in_default_sg
                or rule.used_in_non_default_sg and other.used_in_non_default_sg):
            raise errors.NotUnique(f"Default security group rule already exists. Rule id is {other.id}.",
                                   resource="default security group rule", id=str(other.id))
