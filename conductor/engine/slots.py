"""How many runs may wait for one host: a hung agent must not take the workers that others need."""

from __future__ import annotations

import threading
from collections import defaultdict, deque


class Slots:
    """Counts the runs at each host, and queues the operations that wait for a place."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._inside: dict[str, str] = {}  # operation → host
        self._count: dict[str, int] = defaultdict(int)
        self._waiting: dict[str, deque[str]] = defaultdict(deque)

    def enter(self, operation_id: str, host: str) -> bool:
        """Take a place for an operation at `host` (giving up its place elsewhere); False when all are taken."""
        with self._lock:
            if self._inside.get(operation_id) == host:
                return True
            if self._count[host] >= self._limit:
                return False
            self._leave(operation_id)
            self._inside[operation_id] = host
            self._count[host] += 1
            return True

    def leave(self, operation_id: str) -> str | None:
        """Give up the place; returns an operation that waited for it, if any."""
        with self._lock:
            host = self._leave(operation_id)
            waiting = self._waiting.get(host) if host is not None else None
            return waiting.popleft() if waiting else None

    def wait(self, operation_id: str, host: str) -> None:
        """Remember that an operation waits for a place at `host`."""
        with self._lock:
            if operation_id not in self._waiting[host]:
                self._waiting[host].append(operation_id)

    def full_hosts(self) -> list[str]:
        """Return the hosts that have no place."""
        with self._lock:
            return [host for host, count in self._count.items() if count >= self._limit]

    def _leave(self, operation_id: str) -> str | None:
        host = self._inside.pop(operation_id, None)
        if host is not None:
            self._count[host] -= 1
        return host
