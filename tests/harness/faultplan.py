"""Faults at every point an operation passes: of many operations of one kind, each meets one, at a point of its own.

A point is a statement or a commit of the database, or a message of the bus, of the thread that runs the operation. The
first operation seen meets the fault at its first point, the next one at its second, and so on.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import amqp.exceptions
import kombu.exceptions
import oslo_messaging
import sqlalchemy as sa
from sqlalchemy import event, exc

from conductor.engine.workers import Workers
from tests.harness.inprocess import Cloud

Fault = Callable[[], BaseException]
# What the libraries of the bus raise.
BUS_FAULTS: Sequence[Fault] = (
    lambda: kombu.exceptions.OperationalError("Connection refused"),
    lambda: oslo_messaging.MessageDeliveryFailure("no connection"),
    lambda: oslo_messaging.MessagingTimeout("no answer"),
    lambda: oslo_messaging.MessageUndeliverable(None, None, None, None),
    lambda: amqp.exceptions.ConnectionForced("closed"),
    lambda: ConnectionResetError(104, "Connection reset by peer"))


class FaultPlan:
    """Counts points by operation; `fired` is how many operations met their fault, `points` the most that one passed.

    `kinds` of faults are tried at each point, one for each operation.
    """

    def __init__(self, lasting_s: float = 0.0, kinds: int = 1) -> None:
        self._lasting_s = lasting_s
        self._kinds = kinds
        self._lock = threading.Lock()
        self._here = threading.local()
        self._order: dict[str, int] = {}
        self._passed: dict[str, int] = defaultdict(int)
        self._until: dict[str, float] = {}

    @property
    def points(self) -> int:
        """The most points an operation passed."""
        return max(self._passed.values(), default=0)

    @property
    def fired(self) -> int:
        """How many operations met their fault."""
        return len(self._until)

    def pass_point(self) -> int | None:
        """Count a point of this thread's operation; returns the operation's number when it is to fail here."""
        operation_id = getattr(self._here, "operation_id", None)
        if operation_id is None:
            return None
        with self._lock:
            number = self._order.setdefault(operation_id, len(self._order))
            passed = self._passed[operation_id]
            self._passed[operation_id] += 1
            if passed == number // self._kinds and operation_id not in self._until:
                self._until[operation_id] = time.monotonic() + self._lasting_s
                return number
            return number if time.monotonic() < self._until.get(operation_id, 0.0) else None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Know which operation each thread runs."""
        work = Workers._work

        def watched(workers: Workers, operation_id: str) -> None:
            self._here.operation_id = operation_id
            try:
                work(workers, operation_id)
            finally:
                self._here.operation_id = None

        Workers._work = watched  # type: ignore[method-assign]
        try:
            yield
        finally:
            Workers._work = work  # type: ignore[method-assign]


def broken() -> exc.OperationalError:
    """Return what SQLAlchemy raises for a connection that broke."""
    return exc.OperationalError("", {}, Exception("server closed the connection"), connection_invalidated=True)


@contextlib.contextmanager
def database_faults(engine: sa.Engine, lasting_s: float) -> Iterator[FaultPlan]:
    """Let the database be gone for `lasting_s` from a statement or commit on, another one for each operation."""
    plan = FaultPlan(lasting_s)

    def fail(*_arguments: Any) -> None:
        if plan.pass_point() is not None:
            raise broken()

    def fail_commit(connection: sa.Connection) -> None:
        if plan.pass_point() is not None:
            raw: Any = connection.connection.dbapi_connection
            raw.rollback()  # as the server does with a connection that broke
            raise broken()

    event.listen(engine, "before_cursor_execute", fail)
    event.listen(engine, "commit", fail_commit)
    try:
        with plan.watching():
            yield plan
    finally:
        event.remove(engine, "before_cursor_execute", fail)
        event.remove(engine, "commit", fail_commit)


@contextlib.contextmanager
def bus_faults(cloud: Cloud, faults: Sequence[Fault], *, after: bool) -> Iterator[FaultPlan]:
    """Let a message of each operation fail with one of `faults`, before it is sent or `after` it had its effect."""
    plan = FaultPlan(kinds=len(faults))
    driver = cloud.bus.transport._driver
    send = driver.send

    def failing(*arguments: Any, **named: Any) -> Any:
        number = plan.pass_point()
        if number is None:
            return send(*arguments, **named)
        if after:
            send(*arguments, **named)
        raise faults[number % len(faults)]()

    driver.send = failing
    try:
        with plan.watching():
            yield plan
    finally:
        driver.send = send
