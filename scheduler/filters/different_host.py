"""The user's hint to be placed apart from certain servers."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class DifferentHost:
    """Passes the hosts without any of the servers in the hint `different_host`."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return all hosts but those of these servers; None without the hint."""
        hosts = request.hint_host_ids.get("different_host")
        return ~snapshot.mask_of(hosts) if hosts else None
