"""Ends waits for a database server that has stopped answering: frozen, or stuck on its disk.

TCP keepalive does not notice, since the kernel acknowledges packets for a stopped process, and nobody is left to
enforce the server's own limits. A limit on reading alone would have to exceed the longest statement, which is far too
long for a request. So a connection that has waited for longer than any lock may be waited for opens a second one. A
server that is busy with the statement still answers there; a frozen one does not, and then the wait ends as if the
connection had broken.

It costs one connection for each statement that runs for so long, and reaches into one private method of PyMySQL.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from hostler.db.timeouts import Timeouts

# What locks may be waited for, and a second for the server to say that it was too long.
_MARGIN_S = 1.0
_LOST = 2013  # MariaDB's number for a connection lost during a query
_SILENT = "The database server does not answer."


class Probe:
    """Tells a busy server from one that no longer answers."""

    def __init__(self, connect: Callable[[], Any], timeouts: Timeouts) -> None:
        self._connect = connect
        self._after_s = max(timeouts.connect_s, timeouts.lock_s) + _MARGIN_S
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._answered = True

    def finds_silence(self, waited_s: float) -> bool:
        """Return whether a statement that has run for `waited_s` will get no answer."""
        if waited_s < self._after_s:
            return False
        with self._lock:  # one look serves all who wait
            if time.monotonic() - self._looked_at > self._after_s:
                self._answered = self._look()
                self._looked_at = time.monotonic()
            return not self._answered

    def _look(self) -> bool:
        try:
            self._connect().close()
        except Exception:  # noqa: BLE001 - whatever the reason, no connection can be had
            return False
        return True


def watch(engine: sa.Engine, timeouts: Timeouts) -> None:
    """Have all connections of `engine` watched; for the drivers psycopg and PyMySQL."""
    made = {"psycopg": _watched_psycopg, "pymysql": _watched_pymysql}.get(engine.dialect.driver)
    if made is None:
        return
    arguments, options = engine.dialect.create_connect_args(engine.url)
    plain: Any = engine.dialect.loaded_dbapi
    limits = timeouts.connect_args(engine.dialect.name)
    if engine.dialect.driver == "pymysql":
        limits["read_timeout"] = limits["write_timeout"] = timeouts.connect_s  # of the handshake, too
    probe = Probe(lambda: plain.connect(*arguments, **options, **limits), timeouts)
    connect = made(plain, probe, timeouts)
    event.listen(engine, "do_connect", lambda _dialect, _record, given, named: connect(*given, **named))


def _watched_psycopg(driver: Any, probe: Probe, _timeouts: Timeouts) -> Callable[..., Any]:
    class Connection(driver.Connection):  # type: ignore[misc]
        """A connection whose waits end when the server is silent."""

        def wait(self, steps: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
            """Run `steps`, which yield what is waited for and get None or 0 when it has not come for a while."""
            return super().wait(self._watched(steps), *arguments, **options)

        def _watched(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            begun = time.monotonic()
            try:
                wanted = next(steps)
                while True:
                    ready = yield wanted
                    if not ready and probe.finds_silence(time.monotonic() - begun):
                        self.close()
                        raise driver.OperationalError(_SILENT)
                    wanted = steps.send(ready)
            except StopIteration as end:
                return end.value

        def rollback(self) -> None:
            """Roll back, without taking turns for the connection when there is no transaction, as after reads."""
            if self.pgconn.transaction_status != driver.pq.TransactionStatus.IDLE:
                super().rollback()

    return Connection.connect  # type: ignore[no-any-return]


def _watched_pymysql(driver: Any, probe: Probe, timeouts: Timeouts) -> Callable[..., Any]:
    class Connection(driver.connections.Connection):  # type: ignore[misc]
        """A connection whose waits end when the server is silent."""

        def connect(self, sock: Any = None) -> None:
            """Connect; also the server's greeting is waited for only as long as a connection."""
            limit: float | None = self._read_timeout
            self._read_timeout: float | None = timeouts.connect_s
            super().connect(sock)
            self._read_timeout = limit

        def _execute_command(self, command: int, sql: Any) -> None:
            super()._execute_command(command, sql)
            begun = time.monotonic()
            poller = select.poll()
            poller.register(self._sock, select.POLLIN)
            while not poller.poll(1000):
                if probe.finds_silence(time.monotonic() - begun):
                    self._force_close()
                    raise driver.err.OperationalError(_LOST, _SILENT)

        def rollback(self) -> None:
            """Roll back, without a word to the server when there is no transaction, as after reads."""
            if self.server_status & driver.constants.SERVER_STATUS.SERVER_STATUS_IN_TRANS:
                super().rollback()

    return Connection


__all__ = ["Probe", "watch"]
