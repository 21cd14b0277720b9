"""The user's hint to be placed with certain servers."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class SameHost:
    """Passes the hosts of the servers in the hint `same_host`."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts of those servers; None without the hint."""
        return snapshot.mask_of(request.hint_host_ids.get("same_host", ())) if request.hints.get("same_host") else None
