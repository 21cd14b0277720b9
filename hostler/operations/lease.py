"""Owning an operation for a while: claim, renew, hand over, finish.

The lease is three columns of the operation's row. `attempt` grows with each claim and is the fencing number: every
later write of the owner names it, so that a conductor that lost its lease while it slept changes nothing.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc, orm

from hostler import clock, errors, ids
from hostler.context import RequestContext
from hostler.db.compiled import execute_built, execute_compiled
from hostler.db.engine import Database
from hostler.db.models import Lock, Operation
from hostler.db.moments import Moment, now
from hostler.operations import states
from hostler.operations.kinds.registry import KINDS

_TABLE: Any = Operation.__table__
# Built once: these run several times for each operation.
_CHANGE: Any = sa.update(_TABLE).where(_TABLE.c.id == sa.bindparam("operation"))
# What holds of an operation's row while a claim stands.
IS_OURS: Final = (_TABLE.c.attempt == sa.bindparam("held_attempt"), _TABLE.c.state == states.RUNNING)
_OWNED: Any = _CHANGE.where(*IS_OURS)
_GIVE_BACK: Any = _OWNED.values(state=states.PENDING, owner=None, lease_until=None)
_OWNED_STEP: Any = _OWNED.returning(_TABLE.c.cancel_requested)
_HOLD: Any = sa.select(_TABLE.c.state, _TABLE.c.attempt).where(
    _TABLE.c.id == sa.bindparam("operation")).with_for_update()
# As the claim after it counted it; MariaDB assigns from left to right.
_FORGIVE: Any = _CHANGE.where(
    _TABLE.c.attempt > sa.bindparam("held_attempt"), _TABLE.c.crashes > 0,
    _TABLE.c.state.in_((states.PENDING, states.RUNNING))).ordered_values(
    (_TABLE.c.crashes_alone, sa.case((_TABLE.c.crashes_alone > 0, _TABLE.c.crashes_alone - sa.bindparam("alone_once")),
                                     else_=0)),
    (_TABLE.c.crashes, _TABLE.c.crashes - 1))
_CANCEL_REQUESTED: Any = sa.select(_TABLE.c.cancel_requested).where(_TABLE.c.id == sa.bindparam("operation"))
_UNLOCK: Any = sa.delete(Lock.__table__).where(Lock.operation_id == sa.bindparam("operation"))  # type: ignore[arg-type]
# An operation that was interrupted this often while it ran alone is taken to be what kills its conductor.
ALONE_LIMIT: Final = 2
# What a finished step writes to its operation: it has not been interrupted since.
PROGRESS: Final = {"crashes": 0, "crashes_alone": 0, "alone": False}


class LeaseLost(BaseException):
    """Another conductor owns the operation now: stop at once and write nothing.

    Not an `Exception`, so that TaskFlow does not take it for a task's failure and revert another conductor's work.
    """


@dataclasses.dataclass(frozen=True)
class Claim:
    """An operation owned by this conductor, as it was when it was claimed."""

    id: str
    kind: str
    attempt: int
    crashes: int
    crashes_alone: int
    resource_type: str
    resource_id: str
    project_id: str | None
    user_id: str | None
    request_id: str
    arguments: dict[str, Any]  # as stored; `hostler.operations.kinds` loads them
    arguments_version: int
    flow: dict[str, Any] | None
    host: str | None
    waiting_since: dt.datetime | None
    claimed_at: dt.datetime
    cancel_requested: bool = False


_EXPIRED = sa.and_(_TABLE.c.state == states.RUNNING,
                   sa.or_(_TABLE.c.lease_until.is_(None), _TABLE.c.lease_until < now()))
_CLAIM: Any = _CHANGE.where(sa.or_(
    sa.and_(_TABLE.c.state == states.PENDING, _TABLE.c.not_before <= now()), _EXPIRED,
    # Ours already, yet we ask: the answer to our claim was lost.
    sa.and_(_TABLE.c.state == states.RUNNING, _TABLE.c.owner == sa.bindparam("claimer")),
)).ordered_values(
    # MariaDB assigns from left to right: what reads a column comes before what changes it.
    (_TABLE.c.crashes_alone, _TABLE.c.crashes_alone + sa.case((sa.and_(_EXPIRED, _TABLE.c.alone), 1), else_=0)),
    (_TABLE.c.crashes, _TABLE.c.crashes + sa.case((_EXPIRED, 1), else_=0)),
    (_TABLE.c.attempt, _TABLE.c.attempt + 1),
    (_TABLE.c.alone, sa.false()),
    (_TABLE.c.state, states.RUNNING),
    (_TABLE.c.owner, sa.bindparam("claimer")),
    (_TABLE.c.lease_until, now(sa.bindparam("lease_s", type_=sa.Float()))),
    (_TABLE.c.started_at, sa.func.coalesce(_TABLE.c.started_at, sa.bindparam("moment", type_=Moment))))
_CLAIMED: Final = (*(_TABLE.c[field.name] for field in dataclasses.fields(Claim) if field.name != "claimed_at"),
                   _TABLE.c.waits_for_lock, now().label("claimed_at"))
_CLAIM_AND_READ: Any = _CLAIM.returning(*_CLAIMED)
_CLAIM_ALONE: Any = _CLAIM_AND_READ.where(~_TABLE.c.waits_for_lock)
_READ: Any = sa.select(*_CLAIMED).where(_TABLE.c.id == sa.bindparam("operation"))
_POSTPONE: Any = _CHANGE.where(_TABLE.c.state == states.PENDING).values(not_before=now(0.3))
_FREE: Any = sa.select(_TABLE.c.id, _TABLE.c.host).where(sa.or_(
    _TABLE.c.host.is_(None), _TABLE.c.host.not_in(sa.bindparam("hosts", expanding=True)))).limit(
    sa.bindparam("limit", type_=sa.Integer()))
_DUE: Any = _FREE.where(_TABLE.c.state == states.PENDING, _TABLE.c.not_before <= now()).order_by(_TABLE.c.created_at)
# First those that were alone when their conductor died: the sooner they finish a step, the sooner they are cleared.
_ORPHANED: Any = _FREE.where(_TABLE.c.state == states.RUNNING, _TABLE.c.lease_until < now()).order_by(
    _TABLE.c.crashes_alone.desc(), _TABLE.c.created_at)


@dataclasses.dataclass(frozen=True)
class Due:
    """An operation that some conductor should claim."""

    id: str
    host: str | None


def owner_name(host: str) -> str:
    """Return a name for this process that tells, on the same host, whether it still lives."""
    return f"{host}/{os.getpid()}/{_started(os.getpid())}/{ids.new_id()[:8]}"


def _started(pid: int) -> str:
    try:
        # Field 22 of proc(5) stat, counted after the command's closing parenthesis.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def expire_dead_owners(db: Database, host: str) -> int:
    """Expire the leases of dead processes of this host, so that their work is taken over at once; returns how many."""
    def work(session: orm.Session) -> int:
        owners = session.scalars(sa.select(Operation.owner).distinct().where(
            Operation.state == states.RUNNING, Operation.owner.startswith(f"{host}/", autoescape=True))).all()
        dead = [owner for owner in owners if owner and not _lives(owner)]
        if dead:
            session.execute(sa.update(Operation).where(Operation.state == states.RUNNING, Operation.owner.in_(dead))
                            .values(lease_until=now()))
        return len(dead)

    return db.write(work)


def _lives(owner: str) -> bool:
    parts = owner.split("/")
    return len(parts) > 2 and parts[1].isdigit() and _started(int(parts[1])) == parts[2]


def due(db: Database, limit: int, *, except_hosts: Collection[str] = ()) -> list[Due]:
    """Return operations that wait for a conductor: pending and due, or running under a lease that ran out.

    Those that wait for one of `except_hosts` are left out, so that a hung host's do not hide the others.
    """
    wanted = {"limit": limit, "hosts": list(except_hosts)}
    with db.reading() as session:
        connection = session.connection()
        rows = [*connection.execute(_ORPHANED, wanted).all(), *connection.execute(_DUE, wanted).all()]
    return [Due(row.id, row.host) for row in rows[:limit]]


def claim(db: Database, operation_id: str, owner: str, lease_s: float,
          admit: Callable[[str | None], bool] = lambda _host: True) -> Claim | None:
    """Own a due operation; None when it is not due, finished, owned by another, or `admit(host)` refuses its host.

    An operation that waits for its resource's lock takes it here, or is postponed briefly.
    """
    wanted = {"operation": operation_id, "claimer": owner, "lease_s": lease_s, "moment": clock.utcnow()}
    if db.engine.dialect.update_returning:
        row = db.write_alone(lambda session: execute_compiled(session.connection(), _CLAIM_ALONE, wanted).one_or_none())
        if row is not None:
            return _admitted(db, _claim_of(row), admit)

    def work(session: orm.Session) -> Claim | None:
        row = _claim(session, wanted)
        if row is None:
            return None
        if not admit(row.host):
            session.rollback()
            return None
        if row.waits_for_lock and not _take_lock(session, row):
            session.rollback()
            session.connection().execute(_POSTPONE, {"operation": operation_id})
            return None
        return _claim_of(row)

    try:
        return db.write(work)
    except exc.IntegrityError:
        return None  # another operation took the lock at the same moment: this one is still due


def _admitted(db: Database, held: Claim, admit: Callable[[str | None], bool]) -> Claim | None:
    """Return a claim that is made, unless its host refuses it; then it is given back, and waits as before."""
    if admit(held.host):
        return held
    db.write_alone(lambda session: _execute_owned(session, held, _GIVE_BACK, {}).rowcount)
    return None


def _claim_of(row: Any) -> Claim:
    values = row._asdict()
    del values["waits_for_lock"]
    return Claim(**values)


def _claim(session: orm.Session, wanted: dict[str, Any]) -> Any | None:
    """Own an operation if it is due, and return its row."""
    connection = session.connection()
    if connection.dialect.update_returning:
        return connection.execute(_CLAIM_AND_READ, wanted).one_or_none()
    if not connection.execute(_CLAIM, wanted).rowcount:
        return None
    return connection.execute(_READ, {"operation": wanted["operation"]}).one()


def _take_lock(session: orm.Session, row: Any) -> bool:
    holder = session.get(Lock, row.resource_id)
    if holder is None:
        session.add(Lock(resource_id=row.resource_id, resource_type=row.resource_type, operation_id=row.id,
                         kind=row.kind))
        session.flush()
        return True
    return holder.operation_id == row.id


def renew(db: Database, owner: str, operation_ids: Iterable[str], lease_s: float) -> None:
    """Extend the leases that `owner` holds."""
    statement = sa.update(Operation).where(
        Operation.id.in_(list(operation_ids)), Operation.owner == owner,
        Operation.state == states.RUNNING).values(lease_until=now(lease_s))
    db.write(lambda session: session.execute(statement))


def check_owned(session: orm.Session, held: Claim, **values: Any) -> None:
    """Write `values` to the operation in the caller's transaction; raises LeaseLost when it is no longer ours."""
    if _execute_owned(session, held, _OWNED, values).rowcount != 1:
        raise LeaseLost(held.id)


def check_owned_beside(session: orm.Session, held: Claim, statement: sa.UpdateBase, values: Mapping[str, Any]) -> None:
    """As `check_owned`, and execute a statement that is built once: in one round trip where the database can.

    Its parameters are not named as columns (`hostler.db.together`). Where the operation is no longer ours, the
    transaction must not be committed.
    """
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        check_owned(session, held)
        connection.execute(statement, values)
    elif not execute_compiled(connection, _owned_beside(statement), {
            **values, "operation": held.id, "held_attempt": held.attempt, "owned_at": clock.utcnow()}).scalar_one():
        raise LeaseLost(held.id)


@functools.cache
def _owned_beside(statement: sa.UpdateBase) -> Any:
    owned = _OWNED.values(updated_at=sa.bindparam("owned_at")).returning(_TABLE.c.id).cte("owned")
    return sa.select(sa.func.count()).select_from(owned).add_cte(statement.cte("beside"))


def write_step(session: orm.Session, held: Claim, **values: Any) -> bool:
    """As `check_owned`; returns whether somebody asked the operation to stop."""
    if not session.connection().dialect.update_returning:
        check_owned(session, held, **values)
        return bool(session.connection().execute(_CANCEL_REQUESTED, {"operation": held.id}).scalar_one())
    cancelled = _execute_owned(session, held, _OWNED_STEP, values).scalar_one_or_none()
    if cancelled is None:
        raise LeaseLost(held.id)
    return bool(cancelled)


def _execute_owned(session: orm.Session, held: Claim, statement: Any, values: dict[str, Any]) -> sa.CursorResult[Any]:
    # On the connection, below the ORM: this runs before every task.
    return session.connection().execute(statement, {
        "operation": held.id, "held_attempt": held.attempt, "updated_at": clock.utcnow(), **values})


def hold_running(session: orm.Session, context: RequestContext) -> None:
    """Keep the context's operation as it is until the caller's transaction ends; raises StaleAttempt unless it runs.

    For services that write in the name of an operation without holding its lease.
    """
    row = execute_built(session, _HOLD, {"operation": context.operation_id}).one_or_none()
    if row is None or row.state != states.RUNNING or row.attempt != context.attempt:
        raise errors.StaleAttempt(f"Attempt {context.attempt} of operation {context.operation_id} runs no more.",
                                  operation=context.operation_id, attempt=context.attempt,
                                  seen=row.attempt if row is not None else None)


def forgive(session: orm.Session, held: Claim, *, alone: bool) -> None:
    """Take back that a lease which ran out counted as a crash; `alone` says whether it counted as one of those, too.

    For an owner that lives and notices that it lost the lease. Naively, a lease that ends unrenewed is a crash; but
    while the database does not answer nobody can renew, and the first to reach it again claims what others still run.
    A few such outages would give an operation up. The price: a count that is one too high until the owner notices.
    """
    session.connection().execute(_FORGIVE, {"operation": held.id, "held_attempt": held.attempt,
                                            "alone_once": int(alone)})


def note_alone(session: orm.Session, held: Claim, alone: bool) -> None:
    """Write whether the operation is the only one of its conductor; raises LeaseLost."""
    check_owned(session, held, alone=alone)


def hand_over(session: orm.Session, held: Claim, *, delay_s: float, host: str | None,
              waiting_for: str | None, waiting_since: dt.datetime | None) -> None:
    """Put an operation back so that any conductor may take it up after `delay_s`; its flow resumes where it stopped."""
    values = {"state": states.PENDING, "owner": None, "lease_until": None, "alone": False, "host": host,
              "waiting_for": waiting_for, "waiting_since": waiting_since}
    if _execute_owned(session, held, _OWNED.values(not_before=now(delay_s)), values).rowcount != 1:
        raise LeaseLost(held.id)


def finish(session: orm.Session, held: Claim, *, state: str, message: str | None) -> None:
    """End an operation and free what it holds; the caller changes the resource in the same transaction."""
    check_owned(session, held, **end_values(held, state=state, message=message))
    free(session, held)


def end_values(held: Claim, *, state: str, message: str | None) -> dict[str, Any]:
    """Return what ends an operation, written as the first half of `finish`."""
    kind = KINDS.get(held.kind)
    secrets = kind.arguments.secrets() & held.arguments.keys() if kind is not None else frozenset()
    kept = {"arguments": {key: value for key, value in held.arguments.items() if key not in secrets}} if secrets else {}
    return {**kept, "state": state, "message": message, "finished_at": clock.utcnow(), "owner": None,
            "lease_until": None, "progress": 100, "waiting_for": None, "waiting_since": None}


def free(session: orm.Session, held: Claim) -> None:
    """The second half of `finish`: free what the operation holds.

    Last of all in its transaction: who changes a resource holds its row first, and asks for its lock then.
    """
    session.connection().execute(_UNLOCK, {"operation": held.id})
