"""Numbers for an agent's reports: the conductors take no report that is older than one they have taken.

A report may lie in a conductor that sleeps while later ones go through others, so reports need an order of their own:
of two of them about one resource, the higher number is the newer. Numbers rise across restarts, also when the machine's
clock was set back; when the state directory is lost, the clock alone has to see to that.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hostler.agent.files import write_atomically

# Low bits count reports since the start, high bits are the start's time; together they fit a signed 64-bit integer.
_COUNTER_BITS = 24


class Sequence:
    """Rising numbers; safe for use by many threads."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        start = max(int(now()), _last_start(path) + 1)
        write_atomically(path, f"{start}\n".encode())
        self._numbers = itertools.count(start << _COUNTER_BITS)
        self._lock = threading.Lock()

    def next(self) -> int:
        """Return a number higher than all before."""
        with self._lock:
            return next(self._numbers)


def _last_start(path: Path) -> int:
    try:
        text = path.read_bytes().strip()
    except FileNotFoundError:
        return 0
    # Damaged, it is no worse than lost.
    return int(text) if text.isdigit() and len(text) < 12 else 0
