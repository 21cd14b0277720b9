"""Back ends of the zone that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState

# The published extra spec that binds a type to zones.
_BOUND = "RESKEY:availability_zones"


class AvailabilityZone:
    """Passes back ends of the request's zone, and of those a type is bound to (`RESKEY:availability_zones`)."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether its zone is right."""
        bound = str(request.extra_specs.get(_BOUND) or "")
        if bound and backend.zone not in [zone.strip() for zone in bound.split(",")]:
            return False
        return not request.zone or backend.zone == request.zone
