"""States of an operation."""

from __future__ import annotations

from typing import Final

PENDING: Final = "pending"  # accepted; any conductor may claim it once `not_before` has passed
RUNNING: Final = "running"  # a conductor holds its lease; pending again when it is handed over
SUCCEEDED: Final = "succeeded"  # done; locks released
FAILED: Final = "failed"  # reverted, or parked with its cause; locks released

UNFINISHED: Final = (PENDING, RUNNING)
FINISHED: Final = (SUCCEEDED, FAILED)
