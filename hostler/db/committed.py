"""Whether the request at work has committed anything: from then on its failure is not a refusal.

A request that was accepted and whose answer then cannot be read from the database must not be answered with 503,
which tells clients that nothing happened. Threads that serve no request know no such difference.
"""

from __future__ import annotations

import contextvars

_committed: contextvars.ContextVar[bool | None] = contextvars.ContextVar("committed", default=None)


def begin_request() -> None:
    """Note that this thread begins a request, which has committed nothing yet."""
    _committed.set(False)


def end_request() -> None:
    """Note that this thread has answered."""
    _committed.set(None)


def note() -> None:
    """Note a commit."""
    if _committed.get() is False:
        _committed.set(True)


def has_committed() -> bool:
    """Return whether the request at work has committed a transaction."""
    return _committed.get() is True
