"""A task that runs every so often in a thread of its own, and at once when woken."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from hostler import errors

LOG = logging.getLogger(__name__)


class Periodic:
    """Calls `task` every `interval_s`; an error is logged and the next turn comes after `retry_s` (or the interval).

    Each pause is shorter by up to the part `jitter` of it, so that what many processes began at once does not stay so.
    """

    def __init__(self, name: str, interval_s: float, task: Callable[[], None], *, retry_s: float | None = None,
                 jitter: float = 0.0) -> None:
        self._name = name
        self._jitter = jitter
        self._interval_s = interval_s
        self._retry_s = interval_s if retry_s is None else retry_s
        self._task = task
        self._wake = threading.Event()
        self._stopping = False
        self._trouble = ""
        self._thread: threading.Thread | None = None

    def start(self, *, at_once: bool = True) -> None:
        """Begin, with a first turn at once, or else when first woken or after one interval."""
        self._thread = threading.Thread(target=self._run, args=(at_once,), name=self._name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have the next turn now."""
        self._wake.set()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the running turn."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _run(self, at_once: bool) -> None:
        if not at_once:
            self._wake.wait(self._interval_s)
        while not self._stopping:
            self._wake.clear()
            pause_s = self._interval_s if self._turn() else self._retry_s
            if not self._stopping:
                self._wake.wait(pause_s * random.uniform(1 - self._jitter, 1))

    def _turn(self) -> bool:
        try:
            self._task()
        except errors.HostlerError as error:
            # Logged once as a warning, not every few seconds.
            LOG.log(logging.DEBUG if str(error) == self._trouble else logging.WARNING, "%s: %s", self._name, error)
            self._trouble = str(error)
            return False
        except Exception:
            LOG.exception("%s failed", self._name)
            return False
        self._trouble = ""
        return True
