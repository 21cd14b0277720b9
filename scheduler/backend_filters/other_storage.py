"""A volume that moves goes to other storage: the same directory or pool under another name would lose it."""

from __future__ import annotations

from collections.abc import Sequence

from hostler.resources.volume import backend_claims
from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class OtherStorage:
    """Passes, for a moving volume, back ends that are surely apart from its present one."""

    def passes(self, request: BackendRequest, backend: BackendState, backends: Sequence[BackendState]) -> bool:
        """Return whether both cannot be one storage (`backend_claims.are_apart`)."""
        if not request.moving:
            return True
        present = next((state for state in backends if state.id == request.present_backend_id), None)
        return present is None or backend_claims.are_apart(backend, present)
