"""Accepting a change: the operation and its locks, written in the caller's transaction.

>>> operation = accept(session, context, server.STOP, Target("server", server_id), Arguments())  # locks the server
>>> waker.wake(operation.id)                  # after the commit; losing it only delays
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import exc, orm

from hostler import errors, ids
from hostler.context import RequestContext
from hostler.db.models import Host, Lock, Operation
from hostler.operations import states
from hostler.operations.kinds.kind import A, Kind
from hostler.operations.kinds.registry import KINDS

# Built once, for every request that changes something.
_LOCKS = sa.select(Lock.resource_id, Lock.resource_type, Lock.operation_id, Lock.kind).where(
    Lock.resource_id.in_(sa.bindparam("ids", expanding=True)))
_UNFINISHED = sa.select(Operation.id).where(
    Operation.resource_id == sa.bindparam("resource"), Operation.kind == sa.bindparam("verb"),
    Operation.state.in_(states.UNFINISHED)).limit(1)
_LOCK = sa.insert(cast(sa.Table, Lock.__table__))


@dataclasses.dataclass(frozen=True)
class Target:
    """A resource that an operation is about, or that it locks."""

    type: str  # server, port, image, network, …
    id: str


def accept(session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target, arguments: A, *,
           also_lock: Sequence[Target] = (), lock: bool = True, is_free: bool = False, project_id: str | None = None,
           host_id: str | None = None, agent: str | None = None, idempotency_key: str | None = None) -> Operation:
    """Write a pending operation and its locks; the caller commits them with the change they belong to.

    `is_free` says that no operation can hold the resource, which is new or was just looked at. `host_id` is the host
    its first step talks to, or `agent` the agent (`hostler.operations.agents`), when known.
    Raises ResourceLocked when another operation holds one of the resources, InvalidArguments for those of another kind.
    """
    if type(arguments) is not kind.arguments or resource.type not in kind.resources:
        raise errors.InvalidArguments(name=kind.name, reason=f"{arguments!r} of a {resource.type}")
    targets = sorted({target.id: target for target in (*((resource,) if lock else ()), *also_lock)}.values(),
                     key=lambda target: target.id)
    check_unlocked(session, also_lock if is_free else targets)
    operation = Operation(
        id=ids.new_id(), kind=kind.name, resource_type=resource.type, resource_id=resource.id,
        project_id=project_id or context.project_id, user_id=context.user_id, request_id=context.request_id,
        arguments=arguments.stored(), arguments_version=arguments.VERSION, idempotency_key=idempotency_key)
    if host_id is not None:
        # The name as the database has it, without a look-up of its own.
        operation.host = sa.select(Host.name).where(Host.id == host_id).scalar_subquery()  # type: ignore[assignment]
    elif agent is not None:
        operation.host = agent
    session.add(operation)
    try:
        session.flush()
        if targets:
            session.connection().execute(_LOCK, [
                {"resource_id": target.id, "resource_type": target.type, "operation_id": operation.id,
                 "kind": kind.name} for target in targets])
    except exc.IntegrityError as error:
        # Lost the race between the check above and the insert; the transaction is void either way.
        raise errors.ResourceLocked(resource=resource.type, id=resource.id, operation="?", kind=kind.name,
                                    locked=[dataclasses.asdict(target) for target in targets]) from error
    return operation


def accept_behind(session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target, arguments: A,
                  **options: Any) -> Operation:
    """As `accept`, but where another operation holds the resource, ask that one to stop and wait for its lock.

    The waiting operation has no lock yet: the conductor that claims it takes the lock over once it is free. For
    kinds that cancel others: a server can be deleted while it is still being built.
    """
    holder = session.execute(_LOCKS, {"ids": [resource.id]}).first()
    if holder is None:
        return accept(session, context, kind, resource, arguments, is_free=True, **options)
    held = KINDS.get(holder.kind)
    if holder.kind == kind.name or not kind.cancels:
        raise errors.ResourceLocked(resource=resource.type, id=resource.id, operation=holder.operation_id,
                                    kind=holder.kind, locked=[dataclasses.asdict(resource)])
    if held is None or held.cancellable:
        session.execute(sa.update(Operation).where(Operation.id == holder.operation_id).values(cancel_requested=True))
    operation = accept(session, context, kind, resource, arguments, lock=False, **options)
    operation.waits_for_lock = True
    return operation


def accept_next(session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target, arguments: A, *,
                after: str, **options: Any) -> Operation:
    """As `accept`, in the transaction that ends the operation `after`: its lock of the resource passes to the new one.

    No third operation comes between the two.
    """
    operation = accept(session, context, kind, resource, arguments, lock=False, **options)
    session.execute(sa.update(Lock).where(Lock.resource_id == resource.id, Lock.operation_id == after)
                    .values(operation_id=operation.id, kind=kind.name))
    return operation


def unfinished(session: orm.Session, kind: Kind[Any], resource_id: str) -> str | None:
    """Return the unfinished operation of `kind` about a resource, if any, whether it holds the lock or waits for it."""
    return session.scalar(_UNFINISHED, {"resource": resource_id, "verb": kind.name})


def check_unlocked(session: orm.Session, targets: Sequence[Target]) -> None:
    """Raise ResourceLocked when an operation holds one of `targets`."""
    if not targets:
        return
    held = session.execute(_LOCKS, {"ids": [target.id for target in targets]}).all()
    if held:
        first = held[0]
        raise errors.ResourceLocked(resource=first.resource_type, id=first.resource_id,
                                    operation=first.operation_id, kind=first.kind,
                                    locked=[{"id": row.resource_id, "type": row.resource_type} for row in held])
