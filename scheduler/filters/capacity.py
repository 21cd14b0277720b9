"""Hosts with room: processors, memory and disk, after reserves and overcommit ratios."""

from __future__ import annotations

import numpy as np

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class Capacity:
    """Passes hosts whose free amounts hold the request; the claim proves it again."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts where nothing would be passed."""
        limit = snapshot.capacity - np.array(request.wanted, dtype=np.int64)[:, None]
        return np.asarray((snapshot.used <= limit).all(axis=0))
