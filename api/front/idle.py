"""Connections that wait for their client's next request, by source: the first to go when their source wants more.

Programs that make a session for each thing they do, as test suites do, leave so many open that they would be refused.
All calls are made on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable


class IdleConnections:
    """Which connections are idle, and how each is ended."""

    def __init__(self) -> None:
        self._by_source: dict[str, dict[Hashable, Callable[[], None]]] = {}  # each longest idle first

    def add(self, connection: Hashable, source: str, end: Callable[[], None]) -> None:
        """Note that a connection is idle from now on."""
        self.remove(connection, source)
        self._by_source.setdefault(source, {})[connection] = end

    def remove(self, connection: Hashable, source: str) -> None:
        """Note that something comes on a connection, or that it is closed."""
        idle = self._by_source.get(source)
        if idle is not None and idle.pop(connection, None) is not None and not idle:
            del self._by_source[source]

    def end_one(self, source: str) -> bool:
        """End the connection of a source that has been idle for longest; returns whether there was one."""
        idle = self._by_source.get(source)
        if not idle:
            return False
        connection, end = next(iter(idle.items()))
        self.remove(connection, source)
        end()
        return True
