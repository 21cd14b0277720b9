"""Waiting for operations: for those that a request must not meet, and for those that it is to have done."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import orm

from api.services import Services
from hostler import errors
from hostler.context import RequestContext
from hostler.db.models import Lock, Operation
from hostler.operations import states
from hostler.operations.kinds.registry import KINDS

_LOOK_EVERY_S: Final = 0.1
T = TypeVar("T")


def in_turn(services: Services, work: Callable[[orm.Session], T], *, behind: Collection[str] = (),
            sleep: Callable[[float], None] = time.sleep) -> T:
    """Write what `work` accepts, as soon as operations that show nothing of what they hold have let go of it.

    A server that gets a volume or a NIC has no task state, and a volume with a snapshot in the making is available:
    the reference takes further changes then, and clients send several at once. Here one waits for the other, for
    `[api] operation_wait` seconds at most. `behind` names kinds that are waited for though they show.
    Raises ResourceLocked for all others.
    """
    end = time.monotonic() + services.conf.api.operation_wait
    while True:
        try:
            return services.db.write(work)
        except errors.ResourceLocked as held:
            if time.monotonic() >= end or not (held.fields["kind"] in behind or _is_unseen(held)):
                raise
            _await(services, held, end, sleep)


def _is_unseen(held: errors.ResourceLocked) -> bool:
    kind = KINDS.get(held.fields["kind"])
    return kind is not None and held.fields["resource"] not in kind.shows


def _await(services: Services, held: errors.ResourceLocked, end: float, sleep: Callable[[float], None]) -> None:
    """Wait until the operation holds nothing of it any more, or till `end`."""
    asked = sa.select(Lock.operation_id).where(
        Lock.resource_id.in_([row["id"] for row in held.fields["locked"]]),
        Lock.operation_id == held.fields["operation"]).limit(1)
    while time.monotonic() < end:
        sleep(_LOOK_EVERY_S)
        with services.db.reading() as session:
            if session.scalar(asked) is None:
                return


def follow(services: Services, context: RequestContext, operation_id: str, wait_s: float, *,
           sleep: Callable[[float], None] = time.sleep) -> None:
    """Wake a conductor for an operation and wait till it ends, or for `wait_s`; raises Conflict when it failed."""
    services.waker.wake(context, operation_id)
    end = time.monotonic() + wait_s
    while True:
        with services.db.reading() as session:
            row = session.execute(sa.select(Operation.state, Operation.message).where(
                Operation.id == operation_id)).one()
        if row.state == states.FAILED:
            raise errors.Conflict(reason=row.message or "The operation failed.")
        if row.state in states.FINISHED or time.monotonic() >= end:
            return
        sleep(_LOOK_EVERY_S)
