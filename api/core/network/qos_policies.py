"""QoS policies and their bandwidth limit rules: list, show, create, change, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.scope import Caller, find, find_to_change, set_changed, visible
from api.core.network.verbs import PlainRows
from hostler import errors, ids
from hostler.db.models import Network, Port, QosPolicy
from hostler.query.fields import BOOLEAN, Field
from hostler.query.resources import declare
from hostler.resources.network import qos

QOS_POLICY: Final = declare(QosPolicy, {"is_default": Field(QosPolicy.__table__.c.default_of.is_not(None), BOOLEAN)})
RULE_TYPE: Final = "bandwidth_limit"
_RULE: Final = "policy_bandwidth_limit_rule"
_DEFAULTS: Final[Mapping[str, Any]] = {"max_burst_kbps": 0, "direction": "egress"}

Rule = Mapping[str, Any]


def policy_to_bind(session: orm.Session, caller: Caller, given: str | None, held: str | None = None) -> str | None:
    """Return the id of the policy that a network or port is to have in place of the one `held`; a new one is held.

    Raises NotFound, and Forbidden for the removal of a policy that the caller does not see.
    """
    if held is not None and (given is None or ids.canonical(given) != held) and session.scalars(
            sa.select(QosPolicy.id).where(QosPolicy.id == held, visible(caller, QosPolicy))).first() is None:
        raise errors.Forbidden(f"Failed to remove provided policy {held} because you are not authorized.",
                               action="removal of a QoS policy", reason="removal of a QoS policy")
    return None if given is None else find(session, caller, QosPolicy, given, hold=True).id


def default_policy(session: orm.Session, project_id: str) -> str | None:
    """Return the id of the policy that a project's new networks get unasked."""
    return session.scalars(sa.select(QosPolicy.id).where(QosPolicy.default_of == project_id)).first()


def list_rules(caller: Caller, policy: str) -> Sequence[Rule]:
    """Return a policy's rules; raises NotFound."""
    with caller.services.db.reading() as session:
        return list(find(session, caller, QosPolicy, policy).rules)


def show_rule(caller: Caller, policy: str, identifier: str) -> Rule:
    """Return one rule; raises NotFound."""
    with caller.services.db.reading() as session:
        row = find(session, caller, QosPolicy, policy)
        return row.rules[_position(row, identifier)]  # type: ignore[no-any-return]


def create_rule(caller: Caller, policy: str, values: Mapping[str, Any]) -> Rule:
    """Add a rule; hosts follow. Raises Conflict for a direction that has one."""
    made = {"id": ids.new_id(), **_DEFAULTS, **values}
    _edit(caller, policy, "create", lambda row: [*row.rules, made])
    return made


def update_rule(caller: Caller, policy: str, identifier: str, values: Mapping[str, Any]) -> Rule:
    """Change a rule; hosts follow."""
    def changed(row: QosPolicy) -> list[Rule]:
        place = _position(row, identifier)
        return [{**rule, **values} if at == place else rule for at, rule in enumerate(row.rules)]
    rules = _edit(caller, policy, "update", changed)
    return next(rule for rule in rules if rule["id"] == ids.canonical(identifier))


def delete_rule(caller: Caller, policy: str, identifier: str) -> None:
    """Remove a rule; hosts follow."""
    def left(row: QosPolicy) -> list[Rule]:
        place = _position(row, identifier)
        return [rule for at, rule in enumerate(row.rules) if at != place]
    _edit(caller, policy, "delete", left)


def _edit(caller: Caller, policy: str, verb: str, change: Any) -> list[Rule]:
    def work(session: orm.Session) -> tuple[list[Rule], list[str]]:
        row = find_to_change(session, caller, QosPolicy, policy)
        caller.check(f"{verb}_{_RULE}", row.project_id)
        rules = change(row)
        _refuse_twins(row, rules)
        changed = set_changed(row, {"rules": rules})
        session.flush()
        return rules, qos.notify_of_policy(session, caller.context, row.id) if changed else []
    return caller.write(work)


def _position(policy: QosPolicy, identifier: str) -> int:
    for place, rule in enumerate(policy.rules):
        if rule["id"] == ids.canonical(identifier):
            return place
    raise errors.NotFound(f"QoS rule {identifier} for policy {policy.id} could not be found.", resource="QoS rule",
                          id=identifier)


def _refuse_twins(policy: QosPolicy, rules: Sequence[Rule]) -> None:
    first: dict[str, str] = {}
    for rule in rules:
        other = first.setdefault(rule["direction"], rule["id"])
        if other != rule["id"]:
            raise errors.Conflict(f"Rule {RULE_TYPE} conflicts with rule {other} which already exists in QoS Policy "
                                  f"{policy.id}.", reason="QoS rules")


def _draft(session: orm.Session, _caller: Caller, project_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return _default(session, project_id, None, values)


def _amend(session: orm.Session, _caller: Caller, policy: QosPolicy, values: Mapping[str, Any]) -> dict[str, Any]:
    return _default(session, policy.project_id, policy.id, values)


def _default(session: orm.Session, project_id: str, policy_id: str | None,
             values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with the column that says what `is_default` does; raises Conflict where another one is."""
    new = {name: value for name, value in values.items() if name != "is_default"}
    if "is_default" not in values:
        return new
    if values["is_default"] and default_policy(session, project_id) not in (None, policy_id):
        raise errors.Conflict(f"A default QoS policy exists for project {ids.bare(project_id)}.",
                              reason="default QoS policy")
    return {**new, "default_of": project_id if values["is_default"] else None}


def _release(session: orm.Session, _caller: Caller, policy: QosPolicy) -> None:
    for word, model in (("network", Network), ("port", Port)):
        used = session.scalars(sa.select(model.id).where(  # type: ignore[attr-defined]
            model.qos_policy_id == policy.id).limit(1)).first()  # type: ignore[attr-defined]
        if used is not None:
            raise errors.InUse(f"QoS Policy {policy.id} is used by {word} {used}.", resource="QoS policy",
                               id=policy.id, reason=word)


VERBS: Final = PlainRows(resource=QOS_POLICY, action="policy", quota="qos_policies", draft=_draft, amend=_amend,
                         release=_release, twin="A default QoS policy exists for the project.").verbs
