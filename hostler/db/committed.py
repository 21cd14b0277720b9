"""Whether the request at work has committed anything: from then on its failure is not a refusal.

A request that was accepted and whose answer then cannot be read from the database must not be answered with 503,
which tells clients that nothing happened. Threads that serve no request know no such difference.
"""

from __future__ import annotations

import contextvars
import time

_committed: contextvars.ContextVar[bool | None] = contextvars.ContextVar("committed", default=None)
_begun: contextvars.ContextVar[float | None] = contextvars.ContextVar("begun", default=None)


def begin_request() -> None:
    """Note that this thread begins a request, which has committed nothing yet."""
    _committed.set(False)
    _begun.set(time.monotonic())


def end_request() -> None:
    """Note that this thread has answered."""
    _committed.set(None)
    _begun.set(None)


def request_age_s() -> float:
    """Return for how long the request at work has been; 0 outside requests."""
    begun = _begun.get()
    return 0.0 if begun is None else time.monotonic() - begun


def note() -> None:
    """Note a commit."""
    if _committed.get() is False:
        _committed.set(True)


def has_committed() -> bool:
    """Return whether the request at work has committed a transaction."""
    return _committed.get() is True
