"""Prefer hosts with many free processors."""

from __future__ import annotations

import numpy as np

from scheduler.request import Request
from scheduler.snapshot import VCPUS, Reals, Rows, Snapshot


class Cpu:
    """Spreads by processors (a negative multiplier stacks)."""

    def weigh(self, _request: Request, snapshot: Snapshot, rows: Rows) -> Reals | None:
        """Return the free vcpus."""
        return (snapshot.capacity[VCPUS, rows] - snapshot.used[VCPUS, rows]).astype(np.float64)
