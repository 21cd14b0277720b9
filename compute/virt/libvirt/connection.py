"""The connection to one libvirtd: opened when needed, watched by keepalive, reopened after a failure.

All calls go through `Connection.call`, which gives them a deadline and turns libvirt's errors into ours. libvirt's
event loop exists once per process; it runs in a daemon thread, started with the first connection. Code in
event callbacks must not call libvirt: the loop would wait for itself.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import libvirt

from compute.deadline import DeadlineRunner
from hostler import errors

LOG = logging.getLogger(__name__)
_PATH = re.compile(r"(?<![\w/])/[\w.@+-]+(?:/[\w.@+-]+)+/?")
KEEPALIVE_S = 5
KEEPALIVE_COUNT = 3
Result = TypeVar("Result")

# What libvirt says when the connection, not the request, is at fault.
_BROKEN = {libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_ERR_INVALID_CONN,
           libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_NO_CONNECT}
_loop_lock = threading.Lock()
_loop_threads: list[threading.Thread] = []


def without_paths(text: str) -> str:
    """Return a message without the host's file names, which are for the operator alone (and in the log).

    >>> without_paths("Cannot access storage file '/var/lib/x/disk' (as uid:0)")
    "Cannot access storage file '…' (as uid:0)"
    """
    return _PATH.sub("…", text)


def refusal(error: libvirt.libvirtError) -> errors.AgentError:
    """Return what libvirt said as an error of ours; the log has all of it."""
    LOG.warning("The hypervisor refused: %s", error)
    return errors.AgentError(reason=f"The hypervisor refused: {without_paths(str(error))}")


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turn libvirt's errors into ours, for calls that do not go through a `Connection`."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise refusal(error) from error


class Connection:
    """One libvirtd. `callbacks` (by event id) are called by libvirt's event loop, `on_open` (in a worker) after each
    opening."""

    def __init__(self, uri: str, *, timeout_s: float, callbacks: Mapping[int, Callable[..., None]],
                 on_open: Callable[[], None]) -> None:
        self.uri = uri
        self._timeout_s = timeout_s
        self._callbacks = callbacks
        self._on_open = on_open
        self._subscriptions: list[int] = []
        self._runner = DeadlineRunner("The hypervisor")
        self._lock = threading.Lock()
        self._conn: libvirt.virConnect | None = None

    def open(self) -> None:
        """Open now; raises Unavailable saying how libvirt can be reached."""
        _start_event_loop()
        self.call(lambda conn: conn.getLibVersion())

    def close(self) -> None:
        """Close; guests go on."""
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None:
            try:
                self._runner.run(lambda: _retire(conn, self._subscriptions), 2)
            except errors.Unavailable as error:
                LOG.warning("libvirt connection did not close: %s", error)

    def call(self, function: Callable[[libvirt.virConnect], Result], *, patience: int = 1) -> Result:
        """Return `function(connection)`, in time (`patience` multiplies the configured deadline).

        A connection found broken is opened again once: functions must be safe to repeat. Raises Unavailable,
        or AgentError with libvirt's words.
        """
        for last in (False, True):
            try:
                return self._runner.run(lambda: function(self._get()), self._timeout_s * patience)
            except libvirt.libvirtError as error:
                if not self._is_broken(error):
                    raise refusal(error) from error
                if last:
                    raise errors.Unavailable(f"The hypervisor is not available: {error}") from error
        raise errors.Unavailable(part="The hypervisor")

    def _get(self) -> libvirt.virConnect:
        with self._lock:
            conn = self._conn
        if conn is not None:
            return conn
        # Opened outside the lock: a libvirtd that hangs here must not keep others from giving up in time.
        conn = libvirt.open(self.uri)
        conn.setKeepAlive(KEEPALIVE_S, KEEPALIVE_COUNT)
        conn.registerCloseCallback(self._closed, None)
        with self._lock:
            if self._conn is not None:
                conn.close()
                return self._conn
            self._conn = conn
            self._subscriptions = [conn.domainEventRegisterAny(None, event_id, callback, None)
                                   for event_id, callback in self._callbacks.items()]
        self._on_open()
        LOG.info("Connected to %s", self.uri)
        return conn

    def _closed(self, conn: libvirt.virConnect, reason: int, _opaque: Any) -> None:
        LOG.warning("libvirt closed the connection (reason %d)", reason)
        self._forget()

    def _forget(self) -> None:
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None:
            # In a thread: the caller may be libvirt's own event loop.
            threading.Thread(target=_retire, args=(conn, self._subscriptions), name="libvirt-retire",
                             daemon=True).start()

    def _is_broken(self, error: libvirt.libvirtError) -> bool:
        if error.get_error_code() not in _BROKEN:
            return False
        with self._lock:
            conn = self._conn
        try:
            alive = conn is not None and bool(self._runner.run(conn.isAlive, 2))
        except (libvirt.libvirtError, errors.Unavailable):
            alive = False
        if not alive:
            self._forget()
        return not alive


def _retire(conn: libvirt.virConnect, subscriptions: Sequence[int]) -> None:
    """Close a connection; while a callback is registered libvirt keeps it, and its socket, open."""
    ends = [functools.partial(conn.domainEventDeregisterAny, subscription) for subscription in subscriptions]
    for step in (*ends, conn.unregisterCloseCallback, conn.close):
        try:
            step()
        except libvirt.libvirtError as error:
            LOG.debug("Closing a libvirt connection: %s", error)


def _start_event_loop() -> None:
    with _loop_lock:
        if _loop_threads:
            return
        # Its errors also go to stderr unless a handler takes them; every error reaches us as an exception already.
        libvirt.registerErrorHandler(lambda _context, _error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        thread = threading.Thread(target=_loop, name="libvirt-events", daemon=True)
        _loop_threads.append(thread)
        thread.start()


def _loop() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            LOG.exception("libvirt's event loop raised an error")
