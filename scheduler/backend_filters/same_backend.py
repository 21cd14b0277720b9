"""The user's hint to be with certain volumes."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class SameBackend:
    """Passes the back ends of the volumes in the hint `same_host`."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether one of them is there."""
        if not request.hints.get("same_host"):
            return True
        return backend.id in request.hint_backend_ids.get("same_host", ())
