"""Networks: list, show, create, change, delete.

What a network is made of (`provider:*`) is the administrators' business: `hostler.resources.network.segments`. Deleting
a network deletes its subnets; it is refused while the network has ports.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from api.core.network.qos_policies import default_policy, policy_to_bind
from api.core.network.scope import (
    Caller,
    claim_quota,
    owner_of_new,
    set_changed,
    with_shared,
)
from api.core.network.verbs import Verbs, each
from hostler import errors
from hostler.db.models import FloatingIp, Network, Port, RbacPolicy, Subnet, SubnetPool, Zone
from hostler.query.fields import INTEGER, TEXT, Field
from hostler.query.resources import declare
from hostler.resources.network import segments, sharing
from hostler.resources.network.host_updates import notify_of_network, tell_networks
from hostler.resources.network.routers import remove_ports

# Columns that only some may set, and the published name of the attribute in the rule.
GUARDED: Mapping[str, str] = {
    "shared": "shared", "external": "router:external", "is_default": "is_default",
    "network_type": "provider:network_type", "physical_network": "provider:physical_network",
    "segmentation_id": "provider:segmentation_id",
}
_PROVIDER: Final = "get_network:provider"
NETWORK: Final = declare(Network, {name: Field(Network.__table__.c[name], kind, _PROVIDER) for name, kind in (
    ("network_type", TEXT), ("physical_network", TEXT), ("segmentation_id", INTEGER))})


@dataclasses.dataclass(frozen=True)
class NetworkRecord:
    """A network, its subnets [(id, IP version, address scope)], and whether it is shared with the caller."""

    row: Network
    subnets: tuple[tuple[str, int, str | None], ...] = ()
    shared: bool = False


def _change(session: orm.Session, caller: Caller, network: Network, values: Mapping[str, Any]) -> list[str]:
    caller.check("update_network", network.project_id)
    _check_guarded(caller, "update", network.project_id, values)
    segments.replace(session, network, values)
    if "mtu" in values:
        _check_mtu(session, caller, network, values["mtu"])
    if values.keys() & {"external", "is_default"}:
        _check_only_default(session, network.id, {
            "external": network.external, "is_default": network.is_default, **values})
    if values.get("external") is False and network.external:
        _check_leads_nowhere(session, network)
        session.execute(sa.delete(RbacPolicy).where(RbacPolicy.object_id == network.id,
                                                    RbacPolicy.action == sharing.EXTERNAL))
    new = {name: value for name, value in values.items() if name != "shared"}
    if "qos_policy_id" in new:
        new["qos_policy_id"] = policy_to_bind(session, caller, new["qos_policy_id"], network.qos_policy_id)
    changed = set_changed(network, new)
    if "shared" in values and _share(session, network, values["shared"]) and not changed:
        network.revision += 1
    operation_ids = notify_of_network(session, caller.context, network.id) if changed & {
        "mtu", "dns_domain", "admin_state_up", "physical_network"} else []
    if "qos_policy_id" in changed and not operation_ids:
        operation_ids = tell_networks(session, caller.context, [network.id])
    session.flush()
    return operation_ids


def _check_mtu(session: orm.Session, caller: Caller, network: Network, mtu: int) -> None:
    segments.check_mtu(caller.services.conf, network.network_type, mtu)
    segments.check_least_mtu(network.id, mtu, session.scalars(
        sa.select(Subnet.ip_version).where(Subnet.network_id == network.id)).all())


def remove_network(session: orm.Session, caller: Caller, network: Network) -> list[str]:
    """Delete a network that the caller holds, with its subnets and the floating IPs that lead nowhere; raises InUse."""
    caller.check("delete_network", network.project_id)
    if network.external:
        _drop_idle_floating_ips(session, network.id)
    if session.scalars(sa.select(Port.id).where(Port.network_id == network.id).limit(1)).first() is not None:
        raise _in_use(network.id)
    session.execute(sa.delete(Subnet).where(Subnet.network_id == network.id))
    sharing.forget(session, [network.id])
    session.delete(network)
    return []


def _drop_idle_floating_ips(session: orm.Session, network_id: str) -> None:
    session.execute(sa.delete(FloatingIp).where(FloatingIp.network_id == network_id, FloatingIp.port_id.is_(None),
                                                FloatingIp.router_id.is_(None)))
    # Asked again, not remembered: one of them may have been given to a port just now.
    remove_ports(session, session.scalars(sa.select(Port.id).where(
        Port.network_id == network_id, Port.device_owner == "network:floatingip",
        ~sa.exists().where(FloatingIp.public_port_id == Port.id))).all())


def _in_use(network_id: str) -> errors.InUse:
    return errors.InUse(f"Unable to complete operation on network {network_id}. There are one or more ports still in "
                        "use on the network.", resource="network", id=network_id, reason="ports")


def records(session: orm.Session, caller: Caller, networks: Sequence[Network]) -> list[NetworkRecord]:
    """Return networks with their subnets."""
    network_ids = [network.id for network in networks]
    subnets = _subnets(session, network_ids)
    shared = sharing.shared_among(session, network_ids, caller.project_id)
    return [NetworkRecord(network, tuple(subnets[network.id]), network.id in shared) for network in networks]


def _subnets(session: orm.Session,
             network_ids: Collection[str]) -> defaultdict[str, list[tuple[str, int, str | None]]]:
    found: defaultdict[str, list[tuple[str, int, str | None]]] = defaultdict(list)
    for subnet_id, network_id, version, scope_id in session.execute(
            sa.select(Subnet.id, Subnet.network_id, Subnet.ip_version, SubnetPool.address_scope_id)
            .outerjoin(SubnetPool, SubnetPool.id == Subnet.subnetpool_id).where(Subnet.network_id.in_(network_ids))
            .order_by(Subnet.created_at, Subnet.id)).tuples():
        found[network_id].append((subnet_id, version, scope_id))
    return found


def add_network(session: orm.Session, caller: Caller, values: Mapping[str, Any]) -> Network:
    """Write a new network."""
    project_id = owner_of_new(session, caller, values)
    caller.check("create_network", project_id)
    _check_guarded(caller, "create", project_id, values)
    conf = caller.services.conf
    kind = segments.kind_of(conf, values)
    given = values.get("qos_policy_id")
    policy_id = policy_to_bind(session, caller, given) if given else default_policy(session, project_id)
    wanted = {"mtu": segments.max_mtu(conf, kind), **values, "network_type": kind, "project_id": project_id,
              "qos_policy_id": policy_id}
    segments.check_mtu(conf, kind, wanted["mtu"])
    _check_zones(session, values.get("zone_hints") or ())
    claim_quota(caller, session, project_id, "networks")
    shared = wanted.pop("shared", False)
    _check_only_default(session, None, wanted)
    network = Network(**wanted)
    segments.place(session, conf, network)
    sharing.set_shared(session, network, shared)
    session.flush()
    return network


def _check_guarded(caller: Caller, verb: str, project_id: str, values: Mapping[str, Any]) -> None:
    for column in GUARDED.keys() & values.keys():
        # Clients send their defaults along; naming the default needs no right.
        if verb == "create" and values[column] in (False, None):
            continue
        caller.check(f"{verb}_network:{GUARDED[column]}", project_id)


def default_external(session: orm.Session) -> str | None:
    """Return the id of the external network that is the default one."""
    return session.scalars(sa.select(Network.id).where(Network.external, Network.is_default)
                           .order_by(Network.created_at, Network.id).limit(1)).first()


def _check_only_default(session: orm.Session, network_id: str | None, values: Mapping[str, Any]) -> None:
    if not (values.get("external") and values.get("is_default")):
        return
    there = default_external(session)
    if there not in (None, network_id):
        raise errors.Conflict(f"A default external network already exists: {there}.",
                              reason="default external network")


def _check_zones(session: orm.Session, hints: Collection[str]) -> None:
    known = set(session.scalars(sa.select(Zone.name).where(Zone.name.in_(hints)))) if hints else set()
    for name in hints:
        if name not in known:
            raise errors.NotFound(f"AvailabilityZone {name} could not be found.", resource="availability zone", id=name)


def _share(session: orm.Session, network: Network, shared: bool) -> bool:
    if not shared and sharing.dependents(session, network, sharing.EVERYBODY):
        raise errors.InUse(f"Unable to reconfigure sharing settings for network {network.id}. Multiple tenants are "
                           "using it.", resource="shared network", id=network.id, reason="other projects' ports")
    return sharing.set_shared(session, network, shared)


def _check_leads_nowhere(session: orm.Session, network: Network) -> None:
    held = sa.select(Port.id).where(Port.network_id == network.id, Port.device_owner.in_(
        ("network:router_gateway", "network:floatingip"))).limit(1)
    if session.scalars(held).first() is not None:
        raise errors.InUse(f"External network {network.id} cannot be updated to be made non-external, since it has "
                           "existing gateway ports.", resource="external network", id=network.id, reason="gateways")


VERBS: Final = Verbs(resource=NETWORK, records=records, add=each(add_network), change=_change, remove=remove_network,
                     listed=with_shared, in_use=_in_use)
