"""Back ends whose volumes several servers may have at once."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class Multiattach:
    """Passes, for a multi-attach volume, back ends that are capable of it."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether it can what is asked."""
        return not request.multiattach or backend.capabilities.get("multiattach") is True
