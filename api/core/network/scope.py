"""Visibility and writes of the Network API, shared by networks, subnets, ports and security groups.

Administrators see everything. Others see what their project owns, what is shared with it, external networks, the
subnets of all these networks, and the ports on networks they own. A resource that the caller may not see is NotFound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import (
    AddressGroup,
    AddressScope,
    DefaultRule,
    FloatingIp,
    Network,
    Port,
    PortForwarding,
    Project,
    QosPolicy,
    RbacPolicy,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    SubnetPool,
)
from hostler.query.fields import BOOLEAN, Field
from hostler.query.resources import Resource
from hostler.resources import quota
from hostler.resources.network import sharing

Result = TypeVar("Result")
Model = TypeVar("Model", Network, Subnet, Port, SecurityGroup, SecurityGroupRule, Router, FloatingIp, RbacPolicy,
                SubnetPool, AddressScope, AddressGroup, QosPolicy)

WORDS: Mapping[Any, str] = {Network: "network", Subnet: "subnet", Port: "port", SecurityGroup: "security group",
                            SecurityGroupRule: "security group rule", Router: "router", FloatingIp: "floatingip",
                            RbacPolicy: "RBAC policy", SubnetPool: "subnetpool", AddressScope: "address scope",
                            PortForwarding: "port forwarding", AddressGroup: "address group",
                            QosPolicy: "QoS policy", DefaultRule: "default security group rule"}
_TITLES: Mapping[Any, str] = {Network: "Network", Subnet: "Subnet", Port: "Port", SecurityGroup: "Security group",
                              SecurityGroupRule: "Security group rule", Router: "Router", FloatingIp: "Floating IP",
                              RbacPolicy: "RBAC policy", SubnetPool: "Subnet pool", AddressScope: "Address scope",
                              PortForwarding: "Port Forwarding", AddressGroup: "Address group",
                              QosPolicy: "QoS policy", DefaultRule: "Default security group rule"}


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who asks, with the services that answer. `sees_all` is true for administrators."""

    services: Services
    context: RequestContext
    sees_all: bool
    # The revision that the resource must have to be changed or deleted (the header If-Match); None for any.
    if_revision: int | None = None
    _decided: dict[str, bool] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, services: Services, context: RequestContext, if_revision: int | None = None) -> Caller:
        """Return the caller of a request."""
        return cls(services, context, services.policy.is_admin(context), if_revision)

    @property
    def project_id(self) -> str:
        """The caller's project; empty for a token without one."""
        return str(self.context.project_id or "")

    def check(self, action: str, project_id: str, network_project_id: str | None = None) -> None:
        """Raise Forbidden unless the caller may do `action` to what `project_id` owns."""
        self.services.policy.check(self.context, action, {
            "project_id": project_id, "tenant_id": project_id, "network_project_id": network_project_id or project_id})

    def allows(self, action: str) -> bool:
        """Return whether the caller may do `action` to what its own project owns; decided once a request."""
        if action not in self._decided:
            self._decided[action] = self.services.policy.allows(self.context, action)
        return self._decided[action]

    def write(self, work: Callable[[orm.Session], tuple[Result, list[str]]]) -> Result:
        """Run `work` in one transaction; it returns its result and the operations to wake after the commit."""
        result, operation_ids = self.services.db.write(work)
        if operation_ids:
            self.services.waker.wake(self.context, *dict.fromkeys(operation_ids))
        return result


def visible(caller: Caller, model: type[Model]) -> sa.ColumnElement[bool]:
    """Return the condition of the rows of `model` that the caller sees."""
    if caller.sees_all:
        return sa.true()
    mine = model.project_id == caller.project_id
    if model is Network:
        return sa.or_(mine, sharing.external_to(caller.project_id), sharing.shared_with(Network.id, caller.project_id))
    if model is Subnet:
        return sa.or_(mine, Subnet.network_id.in_(sa.select(Network.id).where(visible(caller, Network))))
    if model is SecurityGroupRule:
        return sa.or_(mine, sharing.shared_with(SecurityGroupRule.group_id, caller.project_id))
    if model is Port:
        return sa.or_(mine, Port.network_id.in_(sa.select(Network.id).where(Network.project_id == caller.project_id)))
    return sa.or_(mine, sharing.shared_with(model.id, caller.project_id)) if model in sharing.TYPES.values() else mine


def with_shared(caller: Caller, resource: Resource, object_id: Any = None) -> Resource:
    """Return `resource` with a field that says whether the object (its own row, or the one a column names) is shared
    with the caller."""
    shared = Field(sharing.shared_with(resource.key if object_id is None else object_id, caller.project_id), BOOLEAN)
    return dataclasses.replace(resource, fields={**resource.fields, "shared": shared})


def find(session: orm.Session, caller: Caller, model: type[Model], identifier: str, *, hold: bool = False) -> Model:
    """Return the row the caller sees under an id in either spelling; `hold` locks it until the transaction ends.

    Raises NotFound.
    """
    row_id = ids.canonical(identifier)
    if row_id is not None and hold:
        caller.services.db.lock_row(session, model, model.id == row_id)
    row = session.scalars(sa.select(model).where(model.id == row_id, visible(caller, model))).one_or_none() \
        if row_id is not None else None
    if row is None:
        raise not_found(model, identifier)
    return row


def find_to_change(session: orm.Session, caller: Caller, model: type[Model], identifier: str) -> Model:
    """Return the row that a request changes or deletes, held until the end of the transaction.

    Raises NotFound, and StaleRevision when the caller expects another revision.
    """
    row = find(session, caller, model, identifier, hold=True)
    if caller.if_revision is not None and caller.if_revision != row.revision:
        raise errors.StaleRevision(expected=caller.if_revision, current=row.revision)
    return row


def not_found(model: Any, identifier: str) -> errors.NotFound:
    """Return the error for a row that does not exist for the caller."""
    verb = "does not exist" if model in (SecurityGroup, SecurityGroupRule, DefaultRule) else "could not be found."
    return errors.NotFound(f"{_TITLES[model]} {identifier} {verb}", resource=WORDS[model], id=identifier)


def owner_of_new(session: orm.Session, caller: Caller, values: Mapping[str, Any]) -> str:
    """Return the project that a new resource belongs to: the caller's, or for administrators the one named."""
    named = values.get("project_id")
    if named is None or ids.canonical(named) == caller.project_id:
        if not caller.project_id:
            raise errors.Invalid(reason="Running without keystone AuthN requires that tenant_id is specified"
                                 if named else "A project must be named: the token has none.")
        return caller.project_id
    if not caller.sees_all:
        raise errors.Invalid("Specifying 'project_id' or 'tenant_id' other than the authenticated project in request "
                             "requires admin or advsvc privileges", reason="another project")
    project_id = ids.canonical(named)
    if project_id is None or session.get(Project, project_id) is None:
        raise errors.InvalidField(field="project_id", value=named, reason="There is no such project.")
    return project_id


def claim_quota(caller: Caller, session: orm.Session, project_id: str, resource: str, amount: int = 1) -> None:
    """Claim room for `amount` more rows; raises Conflict, which is how the Network API answers a full quota."""
    try:
        quota.claim(caller.services.db, session, caller.services.conf, project_id, {resource: amount})
    except errors.QuotaExceeded as error:
        one = f"{resource.removesuffix('ies')}y" if resource.endswith("ies") else resource.removesuffix("s")
        raise errors.Conflict(
            f"Quota exceeded for resources: ['{one}']. Requested {error.fields['requested']}, "
            f"but already used {error.fields['used']} of {error.fields['limit']}.", reason="quota", over=resource,
        ) from error


def set_changed(row: Any, values: Mapping[str, Any]) -> set[str]:
    """Set columns, raise the revision when anything is different, and return the names of those that are."""
    changed = {name for name, value in values.items() if getattr(row, name) != value}
    for name in changed:
        setattr(row, name, values[name])
    if changed:
        row.revision += 1
    return changed
