"""Hosts that the caller wants to leave out: those tried before, the source of a migration."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class ExcludedHosts:
    """Passes what is not in `excluded_hosts`."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return all but the excluded hosts."""
        return ~snapshot.mask_of(request.excluded_hosts) if request.excluded_hosts else None
