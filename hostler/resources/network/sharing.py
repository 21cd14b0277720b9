"""Who may use what another project owns: RBAC policies, from which `shared` of every noun is derived.

An object is shared with a project when a policy names that project or everybody. What a project uses of another's
cannot be taken from it: a policy stays as long as something depends on it.

An external network leads everybody outside as long as no policy says whom. With the first one that does, everybody's is
written down beside it, and may then be taken away; with the last one the network is external no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.db.models import (
    AddressGroup,
    AddressScope,
    FloatingIp,
    Network,
    Port,
    PortSecurityGroup,
    Project,
    QosPolicy,
    RbacPolicy,
    Router,
    RouterPort,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    SubnetPool,
)
from hostler.resources.network.router_specs import GATEWAY

EVERYBODY: Final = "*"
SHARED: Final = "access_as_shared"
EXTERNAL: Final = "access_as_external"
# Ports of the cloud itself on an external network.
_SERVICE_PORTS: Final = ("network:router_gateway", "network:floatingip")

# Published type → its model.
TYPES: Final[Mapping[str, Any]] = {"network": Network, "security_group": SecurityGroup, "subnetpool": SubnetPool,
                                   "address_scope": AddressScope, "address_group": AddressGroup,
                                   "qos_policy": QosPolicy}
# Model → the projects that use one of its rows.
_USERS: Final[Mapping[Any, Callable[[str], sa.Select[Any]]]] = {
    Network: lambda row_id: sa.select(Port.project_id).where(
        Port.network_id == row_id, Port.device_owner.not_in(_SERVICE_PORTS)),
    SecurityGroup: lambda row_id: sa.select(Port.project_id).where(
        Port.id.in_(sa.select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == row_id))),
    SubnetPool: lambda row_id: sa.select(Subnet.project_id).where(Subnet.subnetpool_id == row_id),
    AddressScope: lambda row_id: sa.select(SubnetPool.project_id).where(SubnetPool.address_scope_id == row_id),
    AddressGroup: lambda row_id: sa.select(SecurityGroupRule.project_id).where(
        SecurityGroupRule.remote_address_group_id == row_id),
    QosPolicy: lambda row_id: sa.select(Project.id).where(sa.or_(
        Project.id.in_(sa.select(Network.project_id).where(Network.qos_policy_id == row_id)),
        Project.id.in_(sa.select(Port.project_id).where(Port.qos_policy_id == row_id)))),
}
_TYPE_OF: Final = {model: name for name, model in TYPES.items()}


def shared_with(object_id: Any, project_id: Any) -> sa.ColumnElement[bool]:
    """Return the condition that the object whose id a column holds is shared with a project, an id or a parameter."""
    return sa.exists().where(RbacPolicy.object_id == object_id, RbacPolicy.action == SHARED,
                             RbacPolicy.target.in_([EVERYBODY, EVERYBODY if project_id is None else project_id]))


def external_to(project_id: Any) -> sa.ColumnElement[bool]:
    """Return the condition that a network leads a project outside."""
    said = sa.exists().where(RbacPolicy.object_id == Network.id, RbacPolicy.action == EXTERNAL)
    return sa.and_(Network.external, sa.or_(~said, said.where(
        RbacPolicy.target.in_([EVERYBODY, EVERYBODY if project_id is None else project_id]))))


def lead_outside(session: orm.Session, network: Network, target: str) -> None:
    """Prepare a held network for a policy that shows it to a target as external."""
    if network.external and target != EVERYBODY and not _external_targets(session, network, but=""):
        session.add(RbacPolicy(project_id=network.project_id, object_type=_TYPE_OF[Network], object_id=network.id,
                               action=EXTERNAL, target=EVERYBODY))
    network.external = True


def outside_users(session: orm.Session, network: Network, without: str) -> set[str]:
    """Return the projects whose routers or floating IPs are on an external network, and which it would not lead outside
    if `without` were no longer a target."""
    left = _external_targets(session, network, but=without)
    users = set(session.scalars(sa.union(
        sa.select(FloatingIp.project_id).where(FloatingIp.network_id == network.id),
        sa.select(Router.project_id).join(RouterPort, RouterPort.router_id == Router.id)
        .join(Port, Port.id == RouterPort.port_id).where(Port.network_id == network.id, RouterPort.role == GATEWAY))))
    if not left:
        return users
    if EVERYBODY in left:
        return set()
    lost = users - {network.project_id, *left}
    return lost if without == EVERYBODY else lost & {without}


def lead_nowhere(session: orm.Session, network: Network, without: str) -> None:
    """Make a network internal again when `without` is its last target."""
    if not _external_targets(session, network, but=without):
        network.external = False


def _external_targets(session: orm.Session, network: Network, but: str) -> set[str]:
    return set(session.scalars(sa.select(RbacPolicy.target).where(
        RbacPolicy.object_id == network.id, RbacPolicy.action == EXTERNAL, RbacPolicy.target != but)))


def shared_among(session: orm.Session, object_ids: Collection[str], project_id: str | None) -> set[str]:
    """Return the ids of those objects that are shared with a project."""
    return set(session.scalars(sa.select(RbacPolicy.object_id).where(
        RbacPolicy.object_id.in_(object_ids), RbacPolicy.action == SHARED,
        RbacPolicy.target.in_([EVERYBODY, project_id or EVERYBODY]))))


def set_shared(session: orm.Session, row: Any, shared: bool) -> bool:
    """Share a row that is held with everybody, or no longer; returns whether that is a change.

    Who still depends on it is for the caller to ask (`dependents`).
    """
    policy = session.scalars(sa.select(RbacPolicy).where(
        RbacPolicy.object_id == row.id, RbacPolicy.action == SHARED, RbacPolicy.target == EVERYBODY)).one_or_none()
    if shared and policy is None:
        session.add(RbacPolicy(project_id=row.project_id, object_type=_TYPE_OF[type(row)], object_id=row.id,
                               action=SHARED, target=EVERYBODY))
    elif not shared and policy is not None:
        session.delete(policy)
    return shared == (policy is None)


def dependents(session: orm.Session, row: Any, without: str) -> set[str]:
    """Return the projects that use a row and could not if `without` were no longer a target."""
    left = set(session.scalars(sa.select(RbacPolicy.target).where(
        RbacPolicy.object_id == row.id, RbacPolicy.action == SHARED, RbacPolicy.target != without)))
    if EVERYBODY in left:
        return set()
    lost = set(session.scalars(_USERS[type(row)](row.id).distinct())) - {row.project_id, *left}
    return lost if without == EVERYBODY else lost & {without}


def forget(session: orm.Session, object_ids: Collection[str]) -> None:
    """Delete the policies of objects that are being deleted."""
    session.execute(sa.delete(RbacPolicy).where(RbacPolicy.object_id.in_(object_ids)))
