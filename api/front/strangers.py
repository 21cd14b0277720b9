"""Connections on which nothing with a valid token has come yet: only so many may be open, from all addresses together.

Each takes memory, over TLS about 80 KiB, and those of many addresses would take as much as they like. To refuse further
ones would let the first to come keep everybody else out; so the oldest of the address that has most is closed instead.
A client with one connection is closed only where no address has more, and never once it has shown a token.

All calls are made on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable


class Strangers:
    """Which connections are strangers'. A number is a connection's descriptor, as long as it is open."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._source_of: dict[int, str] = {}
        self._by_source: dict[str, dict[int, Callable[[], None]]] = {}  # each oldest first

    def add(self, number: int, source: str, end: Callable[[], None]) -> None:
        """Note a new connection, and end another one by what was given for it when they are too many."""
        self._source_of[number] = source
        self._by_source.setdefault(source, {})[number] = end
        if len(self._source_of) > self._limit:
            most = max(self._by_source.values(), key=len)
            oldest, end_oldest = next(iter(most.items()))
            self.remove(oldest)
            end_oldest()

    def change_end(self, number: int, end: Callable[[], None]) -> None:
        """End a stranger's connection in another way from now on; or now, if it is no longer among them."""
        source = self._source_of.get(number)
        if source is None:
            end()
        else:
            self._by_source[source][number] = end

    def remove(self, number: int) -> None:
        """Note that a connection has shown a token, or is closed."""
        source = self._source_of.pop(number, None)
        if source is not None:
            del self._by_source[source][number]
            if not self._by_source[source]:
                del self._by_source[source]
