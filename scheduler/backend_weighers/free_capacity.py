"""Prefer back ends with much room."""

from __future__ import annotations

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class FreeCapacity:
    """Spreads by room (a negative multiplier stacks)."""

    def weigh(self, _request: BackendRequest, backend: BackendState) -> float:
        """Return the GiB one more volume may take."""
        return backend.room_gib
