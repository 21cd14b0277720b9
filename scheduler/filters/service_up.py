"""Hosts that are in service and have reported lately."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class ServiceUp:
    """Passes hosts that are enabled, not forced down, healthy, and seen within `service_down_time`."""

    def mask(self, _request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts that were up when the snapshot was read."""
        return snapshot.up
