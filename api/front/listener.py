"""The listening socket, which refuses connections beyond a number in total and from one address, and ends others.

Counting happens where connections are accepted, before any TLS handshake, and ends when the socket is closed, whatever
closes it. asyncio accepts and closes on one thread, so there is no lock.
"""

from __future__ import annotations

import collections
import contextlib
import resource
import socket
from collections.abc import Callable
from typing import Any, Final

from oslo_config import cfg

from api.front.idle import IdleConnections
from api.front.strangers import Strangers
from hostler.identity.lockout import source_of

_BACKLOG: Final = 1024
# Refusals in a row, and connections, before others get their turn: what is to end holds what it has until then.
_REFUSALS: Final = 64
_AT_ONCE: Final = 32


class _Counted(socket.socket):
    """A connection that says when it is closed."""

    on_close: Callable[[], None] | None = None

    def close(self) -> None:
        """Close it, once."""
        if self.on_close is not None:
            self.on_close()
            self.on_close = None
        super().close()


class Listener(socket.socket):
    """A listening socket with limits; `exempt(address)` tells which clients count in total only (proxies)."""

    total_limit: int
    address_limit: int
    exempt: Callable[[str], bool]
    strangers: Strangers
    idle: IdleConnections
    _accepted = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection within the limits; closes others at once.

        Raises BlockingIOError when none waits or others have a turn, ConnectionAbortedError after many refusals.
        """
        self._accepted += 1
        if self._accepted % _AT_ONCE == 0:
            raise BlockingIOError
        for _ in range(_REFUSALS):
            connection, address = super().accept()
            source = "" if self.exempt(address[0]) else source_of(address[0])
            if self.counts.total() < self.total_limit and (
                    not source or not self.address_limit or self.counts[source] < self.address_limit
                    or self.idle.end_one(source)):
                return self._count(connection, source), address
            connection.close()
        raise ConnectionAbortedError

    @property
    def counts(self) -> collections.Counter[str]:
        """Open connections by source; "" is every exempt one."""
        return self.__dict__.setdefault("_counts", collections.Counter())  # type: ignore[no-any-return]

    def _count(self, connection: socket.socket, source: str) -> _Counted:
        # asyncio turns Nagle's algorithm off for sockets that say they are TCP; accepted ones say 0.
        counted = _Counted(connection.family, connection.type, socket.IPPROTO_TCP, fileno=connection.detach())
        self.counts[source] += 1
        number = counted.fileno()
        counted.on_close = lambda: self._forget(number, source)
        if source:
            self.strangers.add(number, source, lambda: _end(counted))
        return counted

    def _forget(self, number: int, source: str) -> None:
        self.strangers.remove(number)
        self.counts[source] -= 1
        if not self.counts[source]:
            del self.counts[source]


def _end(connection: socket.socket) -> None:
    # As if the client had ended it: asyncio has it already, and closes it.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def listen(conf: cfg.ConfigOpts, exempt: Callable[[str], bool], strangers: Strangers,
           idle: IdleConnections) -> Listener:
    """Return the socket of `[api] bind_host` and `bind_port`; raises OSError when the address is taken."""
    host, port = conf.api.bind_host, conf.api.bind_port
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    both = host == "::" and socket.has_dualstack_ipv6()
    plain = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    listener = Listener(plain.family, plain.type, plain.proto, fileno=plain.detach())
    listener.setblocking(False)
    # Files, the database and the bus need descriptors, too.
    listener.total_limit = min(conf.api.max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    listener.address_limit = conf.api.connections_per_address
    listener.exempt = exempt
    listener.strangers, listener.idle = strangers, idle
    return listener
