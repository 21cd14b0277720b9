"""Security group rules: list, show, create, delete. A rule never changes.

A rule is shown as it was written (protocol by name or number, prefix with its host bits); duplicates are found by what
rules mean.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.scope import Caller, claim_quota, find
from api.core.network.verbs import Verbs
from hostler import errors, ids
from hostler.db.models import AddressGroup, SecurityGroup, SecurityGroupRule
from hostler.query.fields import INTERFACE, Field
from hostler.query.resources import declare
from hostler.resources.network import protocols
from hostler.resources.network import security_groups as groups

_MEANING: Final = ("group_id", "direction", "ethertype", "port_min", "port_max", "remote_group_id",
                   "remote_address_group_id")
# Whom a rule means: one of them at most.
_REMOTES: Final = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
_ALL_PORTS: Final = (1, 65535)

SECURITY_GROUP_RULE: Final = declare(
    SecurityGroupRule, {"remote_ip_prefix": Field(SecurityGroupRule.__table__.c.remote_ip_prefix, INTERFACE)})


def _add(session: orm.Session, caller: Caller,
         bodies: Sequence[Mapping[str, Any]]) -> tuple[list[SecurityGroupRule], list[str]]:
    """Write rules; the members' hosts follow.

    Raises NotUnique for a rule that is there already, Conflict past the quota, before anything else is looked at.
    """
    named = Counter(str(values["group_id"]) for values in bodies)
    held = {text: _held_group(session, caller, text) for text in sorted(named)}
    for project_id in {group.project_id for group in held.values()}:
        claim_quota(caller, session, project_id, "security_group_rules",
                    sum(named[text] for text, group in held.items() if group.project_id == project_id))
    remote = {text: find(session, caller, SecurityGroup, text).id
              for text in {values["remote_group_id"] for values in bodies if values.get("remote_group_id")}}
    # Held, so that none goes while a rule comes to name it.
    blocks = {text: find(session, caller, AddressGroup, text, hold=True).id for text in sorted(
        {values["remote_address_group_id"] for values in bodies if values.get("remote_address_group_id")})}
    rules = [_draft(held[str(values["group_id"])], {
        **values, "remote_group_id": remote.get(values.get("remote_group_id") or ""),
        "remote_address_group_id": blocks.get(values.get("remote_address_group_id") or "")}) for values in bodies]
    _refuse_duplicates(session, rules)
    session.add_all(rules)
    touched = {rule.group_id for rule in rules}
    _raise_revisions(session, touched)
    session.flush()
    return rules, groups.notify_hosts(session, caller.context, touched, rules_changed=True)


def _remove(session: orm.Session, caller: Caller, rule: SecurityGroupRule) -> list[str]:
    caller.check("delete_security_group_rule", rule.project_id)
    session.delete(rule)
    _raise_revisions(session, {rule.group_id})
    session.flush()
    return groups.notify_hosts(session, caller.context, [rule.group_id], rules_changed=True)


def _raise_revisions(session: orm.Session, group_ids: set[str]) -> None:
    session.execute(sa.update(SecurityGroup).where(SecurityGroup.id.in_(group_ids))
                    .values(revision=SecurityGroup.revision + 1).execution_options(synchronize_session=False))


def _held_group(session: orm.Session, caller: Caller, identifier: str) -> SecurityGroup:
    group = find(session, caller, SecurityGroup, identifier, hold=True)
    caller.check("create_security_group_rule", group.project_id)
    return group


def _draft(group: SecurityGroup, values: Mapping[str, Any]) -> SecurityGroupRule:
    return SecurityGroupRule(**{**meaning(values), "id": ids.new_id(), "group_id": group.id,
                                "project_id": group.project_id})


def meaning(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a rule; raises Invalid for what no packet could match."""
    ethertype = values.get("ethertype") or "IPv4"
    protocol, number = _protocol(values.get("protocol"), ethertype)
    low, high = values.get("port_min"), values.get("port_max")
    for value in (low, high):
        if value is not None and not -1 <= value <= 65535:
            raise errors.Invalid(f"Invalid value for port {value}", reason="port value")
    if (low, high) == _ALL_PORTS:
        low, high = None, None
    if number in protocols.ICMP:
        _check_icmp(low, high)
    elif low is not None or high is not None:
        _check_ports(protocol, number, low, high)
    prefix = values.get("remote_ip_prefix")
    if sum(bool(values.get(name)) for name in _REMOTES) > 1:
        raise errors.Invalid(f"Only one of {' or '.join(_REMOTES)} may be provided.", reason="several remotes")
    return {**values, "ethertype": ethertype, "protocol": protocol, "port_min": low, "port_max": high,
            "remote_ip_prefix": _prefix(prefix, ethertype) if prefix else None}


def _protocol(given: str | int | None, ethertype: str) -> tuple[str | None, int | None]:
    """Return the protocol as it is shown, and its number."""
    text = "" if given is None else str(given).lower()
    if text in ("", "any"):
        return None, None
    if ethertype == "IPv6":
        # Old clients name ICMP of either family by the older name or number.
        text = {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp", "1": "58"}.get(text, text)
    try:
        number = protocols.number_of(text)
    except ValueError:
        raise errors.Invalid(reason=f"Security group rule protocol {given} not supported. Only protocol values "
                                    f"[{', '.join(protocols.NUMBERS)}] and integer representations [0 to 255] are "
                                    "supported.") from None
    if ethertype == "IPv4" and number in protocols.ONLY_IPV6:
        raise errors.Invalid(reason=f"Invalid ethertype IPv4 for protocol {given}.")
    return text, number


def _check_icmp(kind: int | None, code: int | None) -> None:
    if kind is None and code is not None:
        raise errors.Invalid(reason=f"ICMP code (port-range-max) {code} is provided but ICMP type (port-range-min) is "
                                    "missing.")
    for field, attribute, value in (("type", "port-range-min", kind), ("code", "port-range-max", code)):
        if value is not None and not 0 <= value <= 255:
            raise errors.Invalid(f"Invalid value for ICMP {field} ({attribute}) {value}. It must be 0 to 255.",
                                 reason="ICMP value")


def _check_ports(protocol: str | None, number: int | None, low: int | None, high: int | None) -> None:
    if number is None:
        raise errors.Invalid(reason="Must also specify protocol if port range is given.")
    if number not in protocols.WITH_PORTS:
        raise errors.Invalid(reason=f"Ports cannot be specified for protocol {protocol}. Ports are only supported for "
                                    "DCCP, SCTP, TCP, UDP, UDPLITE.")
    if low is None or high is None or not 1 <= low <= high <= 65535:
        raise errors.Invalid(reason="For TCP/UDP protocols, port_range_min must be <= port_range_max, both from 1 to "
                                    "65535.")


def _prefix(text: str, ethertype: str) -> str:
    try:
        if "%" in text:
            raise ValueError("an address with a zone is of one host only")
        block = ipaddress.ip_interface(text)
    except ValueError:
        raise errors.InvalidField(f"Invalid input for remote_ip_prefix. Reason: '{text}' is not a valid IP subnet.",
                                  field="remote_ip_prefix", value=text, reason="no block") from None
    if f"IPv{block.version}" != ethertype:
        raise errors.Invalid(reason=f"Conflicting value ethertype {ethertype} for CIDR {text}")
    return block.with_prefixlen


def _refuse_duplicates(session: orm.Session, rules: Sequence[SecurityGroupRule]) -> None:
    present = {_key(rule): rule.id for rule in session.scalars(sa.select(SecurityGroupRule).where(
        SecurityGroupRule.group_id.in_({rule.group_id for rule in rules})))}
    for rule in rules:
        key = _key(rule)
        if key in present:
            raise errors.NotUnique(f"Security group rule already exists. Rule id is {present[key]}.",
                                   resource="security group rule", id=present[key])
        present[key] = rule.id


def _key(rule: SecurityGroupRule) -> tuple[Any, ...]:
    block = ipaddress.ip_network(rule.remote_ip_prefix, strict=False) if rule.remote_ip_prefix else None
    if block is not None and block.prefixlen == 0:
        block = None  # all addresses: what a rule without a prefix means, too
    return (protocols.number_of(rule.protocol), block, *(getattr(rule, name) for name in _MEANING))


VERBS: Final[Verbs[SecurityGroupRule, SecurityGroupRule]] = Verbs(
    resource=SECURITY_GROUP_RULE, records=lambda _session, _caller, rows: rows, add=_add, remove=_remove)
