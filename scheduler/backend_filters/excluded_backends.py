"""Back ends that the caller wants to leave out: those tried before."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class ExcludedBackends:
    """Passes what is not in `excluded_backends`."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether it is none of them."""
        return backend.id not in request.excluded_backends
