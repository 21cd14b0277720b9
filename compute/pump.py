"""Carrying bytes between two sockets in both directions, until either side ends.

One thread does both: a TLS socket must not be read and written by two at once. What one side does not take is not read
from the other, so a slow reader costs one buffer.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading

_BUFFER_BYTES = 65536
_LOOK_S = 1.0
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Way:
    """One direction."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.waiting = b""
        self.ended = False

    def move(self) -> bool:
        """Read when nothing waits to be written, write what waits; returns whether anything moved."""
        moved = False
        if not self.waiting and not self.ended:
            with contextlib.suppress(*_NOT_NOW):
                self.waiting = self.source.recv(_BUFFER_BYTES)
                self.ended, moved = not self.waiting, True
        if self.waiting:
            with contextlib.suppress(*_NOT_NOW):
                self.waiting = self.waiting[self.sink.send(self.waiting):]
                moved = True
        return moved


def pump(left: socket.socket, right: socket.socket, stopped: threading.Event) -> None:
    """Carry bytes until one side ends, breaks or `stopped` is set; the caller closes both."""
    left.setblocking(False)
    right.setblocking(False)
    ways = (_Way(left, right), _Way(right, left))
    try:
        while not stopped.is_set() and not any(way.ended and not way.waiting for way in ways):
            moved = [way.move() for way in ways]
            if not any(moved):
                _wait(ways)
    except ConnectionError:
        return


def _wait(ways: tuple[_Way, _Way]) -> None:
    wanted: dict[int, int] = {}
    for way in ways:
        end, event = (way.sink, select.POLLOUT) if way.waiting else (way.source, select.POLLIN)
        wanted[end.fileno()] = wanted.get(end.fileno(), 0) | event
    poll = select.poll()
    for number, events in wanted.items():
        poll.register(number, events)
    poll.poll(_LOOK_S * 1000)
