"""Calls that may hang, made in separate threads with a deadline.

A libvirtd that hangs keeps the calling thread for ever, and so does a dead network file system; no option prevents it.
So each call runs in a daemon thread, the caller waits as long as it may and then gives up. The thread is left behind;
when too many are, further calls are refused at once instead of piling up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hostler import errors

Result = TypeVar("Result")


class DeadlineRunner:
    """Runs functions with a deadline; at most `limit` at a time, hung ones included."""

    def __init__(self, part: str, limit: int = 48) -> None:
        self._part = part
        self._slots = threading.BoundedSemaphore(limit)

    def run(self, function: Callable[[], Result], timeout_s: float) -> Result:
        """Return what `function` returns, raise what it raises; raises Unavailable after `timeout_s`."""
        if not self._slots.acquire(timeout=timeout_s):
            raise errors.Unavailable(part=self._part)
        job = _Job(function, self._slots.release)
        threading.Thread(target=job.work, name="libvirt-call", daemon=True).start()
        if not job.done.wait(timeout_s):
            raise errors.Unavailable(part=self._part)
        return job.result()


class _Job(Generic[Result]):
    def __init__(self, function: Callable[[], Result], release: Callable[[], None]) -> None:
        self._function = function
        self._release = release
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self.done = threading.Event()

    def work(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, which raises it
            self._error = error
        finally:
            self._release()
            self.done.set()

    def result(self) -> Result:
        if self._error is not None:
            raise self._error
        return self._results[0]
