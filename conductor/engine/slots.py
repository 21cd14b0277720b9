"""How many runs may wait for one host: a hung agent must not take the workers that others need.

A run that finds no place at a host could be handed over at once. But a run that asks two hosts in turns, as a live
migration does, then loses its place at each turn while many are under way, and handing over and taking up again cost
more than the call. So it waits a moment for a place at a host that gave some back lately: there, calls do end.
It keeps no place elsewhere while it waits, or two such runs would wait for each other. No more wait at a host than are
inside: a busy host takes twice as many workers as it has places, for that moment.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from typing import Final

WAIT_S: Final = 1.0
LATELY_S: Final = 1.0


class Slots:
    """Counts the runs at each host, and queues the operations that wait for a place."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._changed = threading.Condition()
        self._inside: dict[str, str] = {}  # operation → host
        self._count: dict[str, int] = defaultdict(int)
        self._left_at: dict[str, float] = {}
        self._patient: dict[str, int] = defaultdict(int)  # how many wait for a slot
        self._waiting: dict[str, deque[str]] = defaultdict(deque)

    def enter(self, operation_id: str, host: str, wait_s: float = WAIT_S) -> bool:
        """Take a place for an operation at `host` (giving up its place elsewhere); False when all are taken, even after
        `wait_s` where calls end."""
        with self._changed:
            if self._inside.get(operation_id) == host:
                return True
            if self._is_full(host) and not self._wait(operation_id, host, wait_s):
                return False
            self._leave(operation_id)
            self._inside[operation_id] = host
            self._count[host] += 1
            return True

    def leave(self, operation_id: str) -> str | None:
        """Give up the place; returns an operation that waited for it, if any."""
        with self._changed:
            host = self._leave(operation_id)
            waiting = self._waiting.get(host) if host is not None else None
            return waiting.popleft() if waiting else None

    def wait(self, operation_id: str, host: str) -> None:
        """Remember that an operation waits for a place at `host`."""
        with self._changed:
            if operation_id not in self._waiting[host]:
                self._waiting[host].append(operation_id)

    def full_hosts(self) -> list[str]:
        """Return the hosts that have no place."""
        with self._changed:
            return [host for host in self._count if self._is_full(host)]

    def _is_full(self, host: str) -> bool:
        return self._count[host] >= self._limit

    def _wait(self, operation_id: str, host: str, wait_s: float) -> bool:
        calls_end = self._left_at.get(host, float("-inf")) >= time.monotonic() - LATELY_S
        if not wait_s or not calls_end or self._patient[host] >= self._limit:
            return False
        self._leave(operation_id)
        self._patient[host] += 1
        try:
            return self._changed.wait_for(lambda: not self._is_full(host), wait_s)
        finally:
            self._patient[host] -= 1

    def _leave(self, operation_id: str) -> str | None:
        host = self._inside.pop(operation_id, None)
        if host is not None:
            self._count[host] -= 1
            self._left_at[host] = time.monotonic()
            self._changed.notify_all()
        return host
