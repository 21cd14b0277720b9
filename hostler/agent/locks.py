"""One lock per resource: two calls for the same server or volume never interleave, calls for different ones never wait.

Each hold also counts a change, so that a slow decision (reconciliation) can see that a call acted on
the resource since it looked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator


@dataclasses.dataclass
class _Entry:
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    users: int = 0


class ResourceLocks:
    """The locks of everything one agent works on; entries live only while in use."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._changes: dict[str, int] = {}
        self._clock = 0

    @contextlib.contextmanager
    def hold(self, resource_id: str) -> Iterator[None]:
        """Hold the lock; waits until it is free."""
        with self._guard:
            entry = self._entries.setdefault(resource_id, _Entry())
            entry.users += 1
            self._clock += 1
            self._changes[resource_id] = self._clock
        try:
            with entry.lock:
                yield
        finally:
            with self._guard:
                entry.users -= 1
                if not entry.users:
                    del self._entries[resource_id]

    def mark(self) -> int:
        """Return a mark of the present moment for `changed_since`."""
        with self._guard:
            return self._clock

    def changed_since(self, resource_id: str, mark: int) -> bool:
        """Tell whether the lock was taken, or waited for, after `mark`, or is held now."""
        with self._guard:
            return resource_id in self._entries or self._changes.get(resource_id, 0) > mark

    def forget_before(self, mark: int) -> None:
        """Drop the memory of changes up to `mark`; marks older than it must not be used any more."""
        with self._guard:
            self._changes = {resource_id: at for resource_id, at in self._changes.items() if at > mark}
