"""Prefer hosts that are not busy building servers."""

from __future__ import annotations

import numpy as np

from scheduler.request import Request
from scheduler.snapshot import Reals, Rows, Snapshot


class IoOps:
    """Counts the operations in progress on a host's servers against it."""

    def weigh(self, _request: Request, snapshot: Snapshot, rows: Rows) -> Reals | None:
        """Return the negative number of operations."""
        return -snapshot.io_ops[rows].astype(np.float64)
