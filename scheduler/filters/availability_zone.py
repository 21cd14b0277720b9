"""Hosts of the zone that was asked for."""

from __future__ import annotations

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class AvailabilityZone:
    """Passes hosts of the request's zone; without one, all."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return the hosts of the zone; an unknown zone has none."""
        return snapshot.zone.equals(request.zone) if request.zone else None
