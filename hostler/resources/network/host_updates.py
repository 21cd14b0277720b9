"""Operations that tell hosts what changed on their networks and servers, written in the transaction of the change.

They lock nothing and several may wait for the same thing, so one that still waits to be run is used again: it will
read what this transaction commits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import orm

from hostler import clock
from hostler.context import RequestContext
from hostler.db.models import Operation, Port, Server
from hostler.operations import states
from hostler.operations.accept import Target, accept

APPLY_RULES = "network.apply_rules"
UPDATE_NETWORK = "network.update"
UPDATE_SERVER = "server.update"
# Argument of APPLY_RULES: members came or went, no rule is another; the hosts need the group's addresses alone.
MEMBERS_ONLY = "members_only"
# What each kind calls the id of its resource in the operation's arguments.
_ARGUMENT = {"security_group": "security_group_id", "network": "network_id", "server": "server_id"}


def accept_once(session: orm.Session, context: RequestContext, kind: str, resource_type: str,
                resource_ids: Collection[str], *, delay_s: float = 0, members_only: bool = False) -> list[str]:
    """Return one waiting operation of `kind` for each resource, accepting those that are not there yet.

    `delay_s` lets more changes gather before a new one runs: a hundred servers that join a group in a second are one
    message to each host. `members_only` (of APPLY_RULES) leaves the ports' rules as they are; a waiting operation that
    would do only that becomes a full one, and runs without delay, when one that is not comes.
    """
    if not resource_ids:
        return []
    # Holding the waiting operation's row keeps a conductor from reading the rows before this transaction commits;
    # one that another transaction holds may be about to start, so it does not count.
    waiting = dict(session.execute(
        sa.select(Operation.resource_id, Operation.id)
        .where(Operation.kind == kind, Operation.resource_id.in_(resource_ids), Operation.state == states.PENDING)
        .with_for_update(skip_locked=True)).tuples().all())
    if not members_only:
        _widen(session, waiting.values())
    due_at = clock.utcnow() + dt.timedelta(seconds=delay_s)
    if waiting:
        # One that waits for a silent host must not keep this change from the others.
        session.execute(sa.update(Operation).where(Operation.id.in_(waiting.values()), Operation.not_before > due_at)
                        .values(not_before=due_at).execution_options(synchronize_session=False))
    found = []
    for resource_id in sorted(resource_ids):
        if resource_id not in waiting:
            operation = accept(session, context, kind=kind, resource=Target(resource_type, resource_id), lock=False,
                               arguments={_ARGUMENT[resource_type]: resource_id,
                                          **({MEMBERS_ONLY: True} if members_only else {})})
            operation.not_before = due_at
            waiting[resource_id] = operation.id
        found.append(waiting[resource_id])
    return found


def _widen(session: orm.Session, operation_ids: Collection[str]) -> None:
    for operation in session.scalars(sa.select(Operation).where(Operation.id.in_(operation_ids))):
        if operation.arguments.get(MEMBERS_ONLY):
            operation.arguments = {key: value for key, value in operation.arguments.items() if key != MEMBERS_ONLY}


def tell_of_network(session: orm.Session, context: RequestContext, network_id: str) -> list[str]:
    """Make the hosts serve a network as its rows now say; nothing when none of its ports is on a host."""
    live = session.scalars(sa.select(Port.id).where(Port.network_id == network_id, Port.host_id.is_not(None))
                           .limit(1)).first()
    return [] if live is None else accept_once(session, context, UPDATE_NETWORK, "network", [network_id])


def tell_of_server(session: orm.Session, context: RequestContext, server: Server) -> list[str]:
    """Make the server's host tell the guest its name and metadata as they now are; nothing when it is on none."""
    return [] if server.host_id is None else accept_once(session, context, UPDATE_SERVER, "server", [server.id])


def tell_of_port(session: orm.Session, context: RequestContext, port: Port) -> list[str]:
    """Make the port's host enforce its rules, pairs and security as they now are; nothing when it is on none."""
    if port.host_id is None:
        return []
    return [accept(session, context, kind=APPLY_RULES, resource=Target("port", port.id), lock=False,
                   arguments={"port_ids": [port.id]}).id]
