"""Prefer hosts where boots have not failed lately."""

from __future__ import annotations

import numpy as np

from scheduler.request import Request
from scheduler.snapshot import Reals, Rows, Snapshot


class BuildFailures:
    """Counts boots that failed within `build_failure_window` against a host."""

    def weigh(self, _request: Request, snapshot: Snapshot, rows: Rows) -> Reals | None:
        """Return the negative number of failures."""
        return -snapshot.build_failures[rows].astype(np.float64)
