"""Prefer hosts with much free disk."""

from __future__ import annotations

import numpy as np

from scheduler.request import Request
from scheduler.snapshot import DISK_GIB, Reals, Rows, Snapshot


class Disk:
    """Spreads by disk (a negative multiplier stacks)."""

    def weigh(self, _request: Request, snapshot: Snapshot, rows: Rows) -> Reals | None:
        """Return the free GiB."""
        return (snapshot.capacity[DISK_GIB, rows] - snapshot.used[DISK_GIB, rows]).astype(np.float64)
