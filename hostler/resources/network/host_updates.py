"""Operations that take changes of networks and servers to the hosts, written in the transaction of the change.

They lock nothing, and several changes may concern the same thing, so an operation that still waits is reused: it will
read what this transaction commits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.models import Network, Operation, Port, Server
from hostler.db.moments import now
from hostler.operations import states
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import network
from hostler.operations.kinds import server as server_kinds
from hostler.operations.kinds.arguments import Arguments
from hostler.operations.kinds.kind import A, Kind
from hostler.resources import revisions
from hostler.resources.network.router_specs import joined_networks, routers_to

# Built once, for every boot and delete.
_ELSEWHERE = (Port.host_id.is_not(None), Port.host_id != sa.bindparam("except_host"))
_CARRIED: Any = sa.select(Network.id).where(
    Network.id.in_(sa.bindparam("ids", expanding=True)),
    sa.or_(sa.exists().where(Port.network_id == Network.id, *_ELSEWHERE),
           sa.exists().where(Port.network_id.in_(joined_networks(Network.id)), *_ELSEWHERE)))


def accept_once(session: orm.Session, context: RequestContext, kind: Kind[A], wanted: Mapping[Target, A], *,
                delay_s: float = 0) -> list[str]:
    """Return one waiting operation of `kind` for each resource, accepting those that are not there yet.

    `delay_s` lets more changes gather before a new one runs: a hundred servers that join a group in a second are one
    message to each host. A waiting operation of `ApplyRules` for members only becomes a full one, and runs without
    delay, when one that is not comes.
    """
    resource_ids = [target.id for target in wanted]
    if not resource_ids:
        return []
    # Holding the waiting operation's row keeps a conductor from reading the rows before this transaction commits;
    # one that another transaction holds may be about to start, so it does not count.
    waiting = dict(session.execute(
        sa.select(Operation.resource_id, Operation.id)
        .where(Operation.kind == kind.name, Operation.resource_id.in_(resource_ids), Operation.state == states.PENDING)
        .with_for_update(skip_locked=True)).tuples().all())
    _widen(session, [waiting[target.id] for target, arguments in wanted.items() if target.id in waiting
                     and isinstance(arguments, network.ApplyRules) and not arguments.members_only])
    due_at = now(delay_s)
    if waiting:
        # One that waits for a silent host must not keep this change from the others.
        session.execute(sa.update(Operation).where(Operation.id.in_(waiting.values()), Operation.not_before > due_at)
                        .values(not_before=due_at).execution_options(synchronize_session=False))
    found = []
    for target in sorted(wanted, key=lambda target: target.id):
        if target.id not in waiting:
            waiting[target.id] = accept(session, context, kind, target, wanted[target], lock=False, delay_s=delay_s).id
        found.append(waiting[target.id])
    return found


def _widen(session: orm.Session, operation_ids: Collection[str]) -> None:
    for operation in session.scalars(sa.select(Operation).where(Operation.id.in_(operation_ids))):
        arguments = network.ApplyRules.load(operation.arguments, operation.arguments_version)
        if arguments.members_only:
            full = dataclasses.replace(arguments, members_only=False)
            operation.arguments, operation.arguments_version = full.stored(), full.VERSION


def notify_of_network(session: orm.Session, context: RequestContext, network_id: str) -> list[str]:
    """Make the hosts serve a network, and the routers that lead to it, as its rows now say."""
    router_ids, beside = routers_to(session, network_id)
    revisions.routers_changed(session, router_ids)
    return tell_networks(session, context, {network_id, *beside})


def tell_networks(session: orm.Session, context: RequestContext, network_ids: Collection[str]) -> list[str]:
    """Make the hosts serve networks as their rows now say; nothing for those none of whose ports is on a host."""
    live = session.scalars(sa.select(Port.network_id).distinct().where(
        Port.network_id.in_(network_ids), Port.host_id.is_not(None))).all()
    for network_id in live:
        revisions.network_changed(session, network_id)
    return accept_once(session, context, network.UPDATE, {
        Target("network", network_id): network.UpdateNetwork(network_id=network_id) for network_id in live})


def tell_router(session: orm.Session, context: RequestContext, router_id: str, network_ids: Collection[str],
                leaving: str | None = None) -> list[str]:
    """Make the hosts serve the networks that a router joins as its rows now say, the host `leaving` last."""
    for network_id in network_ids:
        revisions.network_changed(session, network_id)
    return accept_once(session, context, network.UPDATE_ROUTER, {
        Target("router", router_id): network.UpdateRouter(router_id=router_id, leaving=leaving)})


def notify_of_peers(session: orm.Session, context: RequestContext, network_ids: Collection[str],
                    except_host: str | None = None) -> list[str]:
    """Make the hosts of VXLAN networks send to the ports where they now are; nothing where only `except_host`, which
    knows, has a port."""
    concerned = session.scalars(_CARRIED, {"ids": list(network_ids),
                                           "except_host": except_host or ""}).all() if network_ids else ()
    return accept_once(session, context, network.UPDATE_PEERS, {
        Target("network", network_id): network.UpdatePeers(network_id=network_id) for network_id in concerned})


def notify_of_server(session: orm.Session, context: RequestContext, server: Server) -> list[str]:
    """Make the server's host tell the guest its name and metadata as they now are; nothing when it is on none."""
    if server.host_id is None:
        return []
    revisions.server_changed(session, server.id)
    return accept_once(session, context, server_kinds.UPDATE, {
        Target("server", server.id): Arguments()})


def notify_of_port(session: orm.Session, context: RequestContext, port: Port) -> list[str]:
    """Make the port's host enforce its rules, pairs and security as they now are; nothing when it is on none."""
    if port.host_id is None:
        return []
    revisions.ports_changed(session, [port.id])
    return [accept(session, context, network.APPLY_RULES, Target("port", port.id),
                   network.ApplyRules(port_ids=(port.id,)), lock=False).id]
