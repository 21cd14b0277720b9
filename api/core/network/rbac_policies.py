"""RBAC policies: share what one's project owns with another one; administrators, with everybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import orm

from api.core.network.scope import Caller, find
from api.core.network.verbs import PlainRows
from hostler import errors, ids
from hostler.db.models import AddressScope, Network, RbacPolicy, SubnetPool
from hostler.query.fields import ID, Field
from hostler.query.resources import declare
from hostler.resources.network import sharing

RBAC_POLICY: Final = declare(RbacPolicy, {name: Field(RbacPolicy.__table__.c[name], ID)
                                          for name in ("object_id", "target")})
_ACTION: Final = "rbac_policy"


def _draft(session: orm.Session, caller: Caller, project_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
    object_type = str(values["object_type"]).strip().lower()
    model = sharing.TYPES.get(object_type)
    if model is None:
        raise _wrong("object_type", object_type, f"'{object_type}' is not a valid RBAC object type")
    valid = (sharing.SHARED, *((sharing.EXTERNAL,) if model is Network else ()))
    if values["action"] not in valid:
        raise _wrong("action", values["action"], f"Invalid action '{values['action']}' for object type "
                     f"'{object_type}'. Valid actions: {', '.join(valid)}")
    row = find(session, caller, model, values["object_id"], hold=True)
    if not caller.sees_all and row.project_id != caller.project_id:
        raise _wrong("object_id", row.id, "Only admins can manipulate policies on objects they do not own")
    target = _target(caller, "create", project_id, values["target"])
    if values["action"] == sharing.EXTERNAL:
        caller.check("update_network:router:external", row.project_id)
        sharing.lead_outside(session, row, target)
    _check_scope(session, row, target)
    row.revision += 1
    return {"object_type": object_type, "object_id": row.id, "action": values["action"], "target": target}


def _amend(session: orm.Session, caller: Caller, policy: RbacPolicy, values: Mapping[str, Any]) -> dict[str, Any]:
    if "target" not in values:
        return {}
    target = _target(caller, "update", policy.project_id, values["target"])
    if target not in (policy.target, sharing.EVERYBODY):
        _check_unused(session, caller, policy, but=target)
    _check_scope(session, session.get(sharing.TYPES[policy.object_type], policy.object_id), target)
    return {"target": target}


def _check_scope(session: orm.Session, row: Any, target: str) -> None:
    """Raise Invalid for a subnet pool that would be shared with who has no access to its address scope."""
    if not isinstance(row, SubnetPool) or row.address_scope_id is None:
        return
    scope = session.get_one(AddressScope, row.address_scope_id)
    if target != scope.project_id and not sharing.shared_among(session, [scope.id], target):
        raise errors.Invalid(f"Subnet pool {row.id} cannot be shared with {target}, which has no access to its address "
                             f"scope {scope.id}.", reason="address scope")


def _release(session: orm.Session, caller: Caller, policy: RbacPolicy) -> None:
    _check_unused(session, caller, policy)
    network = session.get(Network, policy.object_id) if policy.action == sharing.EXTERNAL else None
    if network is not None:
        sharing.lead_nowhere(session, network, policy.target)


def _check_unused(session: orm.Session, caller: Caller, policy: RbacPolicy, but: str = "") -> None:
    """Raise InUse when a project uses the object and may only through this policy; `but` gets one of its own."""
    model = sharing.TYPES[policy.object_type]
    caller.services.db.lock_row(session, model, model.id == policy.object_id)
    row = session.get(model, policy.object_id)
    if row is None:
        return
    users = sharing.outside_users if policy.action == sharing.EXTERNAL else sharing.dependents
    lost = users(session, row, policy.target) - {but}
    if lost:
        raise errors.InUse(f"RBAC policy on object {row.id} cannot be removed because other objects depend on it.\n"
                           f"Details: {len(lost)} other projects use it.",
                           resource="RBAC policy", id=policy.id, reason="other projects")
    row.revision += 1


def _target(caller: Caller, verb: str, project_id: str, given: str) -> str:
    if given == sharing.EVERYBODY:
        caller.check(f"{verb}_{_ACTION}:target_tenant", project_id)
        return given
    target = ids.canonical(given)
    if target is None:
        raise _wrong("target_tenant", given, "It is neither a project's id nor *.")
    return target


def _wrong(field: str, value: str, reason: str) -> errors.InvalidField:
    return errors.InvalidField(f"Invalid input for operation: {reason}.", field=field, value=value, reason=reason)


VERBS: Final = PlainRows(resource=RBAC_POLICY, action=_ACTION, quota="rbac_policies", draft=_draft, amend=_amend,
                         release=_release, twin="An RBAC policy already exists with those values.").verbs
