"""Caches validated tokens for some seconds, so that most requests cost neither cryptography nor SQL."""

from __future__ import annotations

import threading
import time
from typing import Any

MAX_ENTRIES = 10000


class TokenCache:
    """Maps a token's text to the values of its request context; bounded, safe between threads.

    `generation` keeps an answer that was looked up before `clear` from being stored after it.
    """

    def __init__(self, seconds: float, max_entries: int = MAX_ENTRIES) -> None:
        self._seconds = seconds
        self._max_entries = max_entries
        self._entries: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self.generation = 0

    def get(self, text: str) -> dict[str, Any] | None:
        """Return what was stored for the token unless it has expired."""
        entry = self._entries.get(text)
        if entry is None or entry[0] < time.monotonic():
            return None
        return entry[1]

    def put(self, text: str, values: dict[str, Any], *, lifetime_s: float, generation: int) -> None:
        """Cache the values for the configured time, but no longer than `lifetime_s`."""
        seconds = min(self._seconds, lifetime_s)
        if seconds <= 0:
            return
        with self._lock:
            if generation != self.generation:
                return
            if len(self._entries) >= self._max_entries:
                self._make_room()
            self._entries[text] = (time.monotonic() + seconds, values)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.generation += 1
            self._entries.clear()

    def _make_room(self) -> None:
        now = time.monotonic()
        for text in [text for text, entry in self._entries.items() if entry[0] < now]:
            del self._entries[text]
        # Dictionaries keep their order: the oldest entries come first.
        for text in list(self._entries)[:max(0, len(self._entries) - self._max_entries * 3 // 4)]:
            del self._entries[text]
