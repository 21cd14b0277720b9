"""The user's hint to be apart from certain volumes."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class DifferentBackend:
    """Passes the back ends without any of the volumes in the hint `different_host`."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether none of them is there."""
        return backend.id not in request.hint_backend_ids.get("different_host", ())
