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

from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.commits import note_row
from hostler.db.compiled import execute_built
from hostler.db.models import Host, Lock, Operation
from hostler.db.moments import now
from hostler.db.together import execute_together
from hostler.operations import states
from hostler.operations.kinds.kind import A, Kind
from hostler.operations.kinds.registry import KINDS

# Built once, for every request that changes something.
_LOCKS = sa.select(Lock.resource_id, Lock.resource_type, Lock.operation_id, Lock.kind).where(
    Lock.resource_id.in_(sa.bindparam("ids", expanding=True)))
_UNFINISHED = sa.select(Operation.id).where(
    Operation.resource_id == sa.bindparam("resource"), Operation.kind == sa.bindparam("verb"),
    Operation.state.in_(states.UNFINISHED)).limit(1)
_UNDER_WAY = sa.select(
    _UNFINISHED.scalar_subquery().label("unfinished"), Lock.resource_id, Lock.operation_id, Lock.kind).select_from(
    sa.select(sa.literal(1)).subquery().outerjoin(Lock, Lock.resource_id == sa.bindparam("resource")))
_OPERATION, _LOCK = (cast(sa.Table, model.__table__) for model in (Operation, Lock))
_INSERT = sa.insert(_OPERATION).values({
    **{column: sa.bindparam(f"new_{column.name}", type_=column.type) for column in _OPERATION.c
       if column.name in {"id", "kind", "resource_type", "resource_id", "project_id", "user_id", "request_id",
                          "idempotency_key", "state", "arguments", "arguments_version", "waits_for_lock",
                          "created_at", "updated_at"}},
    # The name of the host as the database has it, without a look-up of its own.
    "host": sa.func.coalesce(
        sa.bindparam("new_agent", type_=sa.String()),
        sa.select(Host.name).where(Host.id == sa.bindparam("on_host", type_=Host.id.type)).scalar_subquery()),
    "not_before": now(sa.bindparam("delay_s", type_=sa.Float())),
    "attempt": 0, "crashes": 0, "alone": False, "crashes_alone": 0, "cancel_requested": False, "progress": 0})


@dataclasses.dataclass(frozen=True)
class Target:
    """A resource that an operation is about, or that it locks."""

    type: str  # server, port, image, network, …
    id: str


@dataclasses.dataclass(frozen=True)
class Accepted:
    """An operation that was written."""

    id: str


@dataclasses.dataclass(frozen=True)
class UnderWay:
    """Of one resource: the unfinished operation of a kind, and the lock that any operation holds."""

    unfinished: str | None
    holder: Any | None


def accept(session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target, arguments: A, *,
           also_lock: Sequence[Target] = (), lock: bool = True, is_free: bool = False, project_id: str | None = None,
           host_id: str | None = None, agent: str | None = None, idempotency_key: str | None = None,
           waits_for_lock: bool = False, delay_s: float = 0.0) -> Accepted:
    """Write a pending operation and its locks; the caller commits them with the change they belong to.

    `is_free` says that no operation can hold the resource, which is new or was just looked at. `host_id` is the host
    its first step talks to, or `agent` the agent (`hostler.operations.agents`), when known. It is due after `delay_s`.
    Raises ResourceLocked when another operation holds one of the resources, InvalidArguments for those of another kind.
    """
    if type(arguments) is not kind.arguments or resource.type not in kind.resources:
        raise errors.InvalidArguments(name=kind.name, reason=f"{arguments!r} of a {resource.type}")
    targets = sorted({target.id: target for target in (*((resource,) if lock else ()), *also_lock)}.values(),
                     key=lambda target: target.id)
    check_unlocked(session, also_lock if is_free else targets)
    operation, moment = Accepted(ids.new_id()), clock.utcnow()
    values = {
        "new_id": operation.id, "new_kind": kind.name, "new_resource_type": resource.type,
        "new_resource_id": resource.id, "new_project_id": project_id or context.project_id,
        "new_user_id": context.user_id, "new_request_id": context.request_id, "new_idempotency_key": idempotency_key,
        "new_state": states.PENDING, "new_arguments": arguments.stored(), "new_arguments_version": arguments.VERSION,
        "new_waits_for_lock": waits_for_lock, "new_created_at": moment, "new_updated_at": moment,
        "new_agent": agent, "on_host": host_id, "delay_s": delay_s}
    note_row(session, Operation, [operation.id])
    try:
        execute_together(session, (_INSERT,), values, {_LOCK: [
            {"resource_id": target.id, "resource_type": target.type, "operation_id": operation.id, "kind": kind.name}
            for target in targets]})
    except exc.IntegrityError as error:
        # Lost the race between the check above and the insert; the transaction is void either way.
        raise errors.ResourceLocked(resource=resource.type, id=resource.id, operation="?", kind=kind.name,
                                    locked=[dataclasses.asdict(target) for target in targets]) from error
    return operation


def accept_behind(session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target, arguments: A,
                  **options: Any) -> Accepted:
    """As `accept`, but where another operation holds the resource, ask that one to stop and wait for its lock.

    The waiting operation has no lock yet: the conductor that claims it takes the lock over once it is free. For
    kinds that cancel others: a server can be deleted while it is still being built.
    """
    holder = execute_built(session, _LOCKS, {"ids": [resource.id]}).first()
    return _accept_behind(holder, session, context, kind, resource, arguments, **options)


def accept_once_behind(session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target, arguments: A,
                       **options: Any) -> Accepted | None:
    """As `accept_behind`, unless such an operation about the resource is under way: then None."""
    found = under_way(session, kind, resource.id)
    if found.unfinished is not None:
        return None
    return _accept_behind(found.holder, session, context, kind, resource, arguments, **options)


def _accept_behind(holder: Any | None, session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target,
                   arguments: A, **options: Any) -> Accepted:
    if holder is None:
        return accept(session, context, kind, resource, arguments, is_free=True, **options)
    held = KINDS.get(holder.kind)
    if holder.kind == kind.name or not kind.cancels:
        raise errors.ResourceLocked(resource=resource.type, id=resource.id, operation=holder.operation_id,
                                    kind=holder.kind, locked=[dataclasses.asdict(resource)])
    if held is None or held.cancellable:
        session.execute(sa.update(Operation).where(Operation.id == holder.operation_id).values(cancel_requested=True))
    return accept(session, context, kind, resource, arguments, lock=False, waits_for_lock=True, **options)


def accept_next(session: orm.Session, context: RequestContext, kind: Kind[A], resource: Target, arguments: A, *,
                after: str, **options: Any) -> Accepted:
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


def under_way(session: orm.Session, kind: Kind[Any], resource_id: str) -> UnderWay:
    """Return the unfinished operation of `kind` about a resource, and who holds its lock, in one statement."""
    row = execute_built(session, _UNDER_WAY, {"resource": resource_id, "verb": kind.name}).one()
    return UnderWay(row.unfinished, row if row.resource_id is not None else None)


def check_unlocked(session: orm.Session, targets: Sequence[Target]) -> None:
    """Raise ResourceLocked when an operation holds one of `targets`."""
    if not targets:
        return
    held = execute_built(session, _LOCKS, {"ids": [target.id for target in targets]}).all()
    if held:
        first = held[0]
        raise errors.ResourceLocked(resource=first.resource_type, id=first.resource_id,
                                    operation=first.operation_id, kind=first.kind,
                                    locked=[{"id": row.resource_id, "type": row.resource_type} for row in held])
