"""Prefer what a group's soft policy prefers."""

from __future__ import annotations

import numpy as np

from scheduler.groups import SOFT_AFFINITY, SOFT_ANTI_AFFINITY
from scheduler.request import Request
from scheduler.snapshot import Reals, Rows, Snapshot


class ServerGroupSoft:
    """Soft affinity: many members here is good; soft anti-affinity: few are."""

    def weigh(self, request: Request, snapshot: Snapshot, rows: Rows) -> Reals | None:
        """Return the (negative) number of members; None for other policies."""
        if request.group_policy not in (SOFT_AFFINITY, SOFT_ANTI_AFFINITY):
            return None
        members = snapshot.counts_of(request.group_host_ids)[rows].astype(np.float64)
        return members if request.group_policy == SOFT_AFFINITY else -members
