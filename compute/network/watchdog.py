"""Calls a mending function every few seconds, in a thread of its own, until closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)

_PERIOD_S = 3.0


class Watchdog:
    """Started by the first `start`; a failure of `mend` is logged and tried again with the next round."""

    def __init__(self, mend: Callable[[], None]) -> None:
        self._mend = mend
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to watch, unless that is so or the watchdog is closed."""
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
                self._mend()
            except Exception:
                # A thread that must outlive every failure; the next round tries again.
                LOG.exception("Mending failed; trying again in %s s", _PERIOD_S)
