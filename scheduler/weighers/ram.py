"""Prefer hosts with much free memory."""

from __future__ import annotations

import numpy as np

from scheduler.request import Request
from scheduler.snapshot import RAM_MIB, Reals, Rows, Snapshot


class Ram:
    """Spreads by memory (a negative multiplier stacks)."""

    def weigh(self, _request: Request, snapshot: Snapshot, rows: Rows) -> Reals | None:
        """Return the free MiB."""
        return (snapshot.capacity[RAM_MIB, rows] - snapshot.used[RAM_MIB, rows]).astype(np.float64)
