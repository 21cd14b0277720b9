"""Back ends with room, after reserves and over-subscription."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class Capacity:
    """Passes back ends whose room holds the volume; the claim proves it again."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether it fits."""
        return request.size_gib <= backend.room_gib
