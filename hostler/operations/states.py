"""States of an operation and the one table of transitions."""

from __future__ import annotations

from typing import Final

PENDING: Final = "pending"  # accepted; any conductor may claim it once `not_before` has passed
RUNNING: Final = "running"  # a conductor holds its lease
SUCCEEDED: Final = "succeeded"  # done; locks released
FAILED: Final = "failed"  # reverted, or parked with its cause; locks released

TRANSITIONS: Final = frozenset({
    (PENDING, RUNNING),  # claimed
    (RUNNING, RUNNING),  # taken over: the lease of a silent conductor ran out
    (RUNNING, PENDING),  # handed over: a host is silent, or the conductor stops
    (RUNNING, SUCCEEDED),
    (RUNNING, FAILED),
})

UNFINISHED: Final = (PENDING, RUNNING)
FINISHED: Final = (SUCCEEDED, FAILED)
