"""The pool of a process's connections: it would rather wait a moment than open one more.

A burst of requests holds more connections at once than it uses: most of them queue in the database for the same rows
or for its processors. Each one opened beyond `pool_size` costs the database a process and a plan for every statement,
and is closed as soon as it comes back. But to wait without limit would let long transactions hold up everybody. So a
thread waits briefly for a connection to come back before it opens another, up to `max_overflow`.
"""

from __future__ import annotations

import contextlib
from typing import Final

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import queue

# Longer than transactions take; an added delay for those who wait when all connections are in long use.
_WAIT_S: Final = 0.1


class PatientPool(sa.QueuePool):
    """A queue of connections in which the last one given back comes first."""

    def _do_get(self) -> ConnectionPoolEntry:
        if self._overflow >= 0:  # all that are kept are open
            with contextlib.suppress(queue.Empty):  # every one is in long use
                return self._pool.get(True, _WAIT_S)
        return super()._do_get()


__all__ = ["PatientPool"]
