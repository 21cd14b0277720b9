"""Calls a repair function every few seconds, in its own thread, until closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)

_PERIOD_S = 3.0


class Watchdog:
    """Started by the first `start`; a failure of `repair` is logged; the next round tries again."""

    def __init__(self, repair: Callable[[], None]) -> None:
        self._repair = repair
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to watch, unless it does already or is closed."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name="network-watchdog", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread and wait for it."""
        self._closed.set()
        with self._lock:
            if self._thread is not None:
                self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(_PERIOD_S):
            try:
                self._repair()
            except Exception:
                # A thread that must outlive every failure; the next round tries again.
                LOG.exception("Repairing failed; trying again in %s s", _PERIOD_S)
