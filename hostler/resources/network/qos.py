"""QoS: the bandwidth limits of ports, and how a change of them reaches hosts.

A port has the policy named for it, else its network's. Hosts are sent the limits alone, with the port.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.models import Network, Port, QosPolicy
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import network as kinds
from hostler.resources import revisions
from hostler.resources.network.host_updates import tell_networks
from hostler.resources.server.specs import LimitSpec

# The policy that a port has, in a query that has its network.
EFFECTIVE: Final[Any] = sa.func.coalesce(Port.qos_policy_id, Network.qos_policy_id)

_RULES = sa.select(QosPolicy.id, QosPolicy.rules).where(QosPolicy.id.in_(sa.bindparam("ids", expanding=True)))


def limits_of(session: orm.Session, policy_ids: Collection[str]) -> dict[str, tuple[LimitSpec, ...]]:
    """Return the limits of policies by id; runs no statement without policies."""
    if not policy_ids:
        return {}
    return {policy_id: tuple(LimitSpec(direction=rule["direction"], max_kbps=rule["max_kbps"],
                                       max_burst_kbps=rule["max_burst_kbps"]) for rule in rules)
            for policy_id, rules in session.execute(_RULES, {"ids": list(policy_ids)}).tuples()}


def notify_of_policy(session: orm.Session, context: RequestContext, policy_id: str) -> list[str]:
    """Make the hosts of a policy's ports enforce its limits as they now are; returns the operations to wake."""
    networks = session.scalars(sa.select(Network.id).where(Network.qos_policy_id == policy_id)).all()
    ports = session.scalars(sa.select(Port.id).where(
        Port.qos_policy_id == policy_id, Port.host_id.is_not(None)).order_by(Port.id)).all()
    operation_ids = tell_networks(session, context, networks)
    if ports:
        revisions.ports_changed(session, ports)
        operation_ids.append(accept(session, context, kinds.APPLY_RULES, Target("port", ports[0]),
                                    kinds.ApplyRules(port_ids=tuple(ports)), lock=False).id)
    return operation_ids
