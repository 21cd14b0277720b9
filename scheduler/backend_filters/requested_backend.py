"""The only back end allowed: the source of the volume is there, or an administrator named it."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class RequestedBackend:
    """Passes the named back end; without a name, all."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether it is the one."""
        return request.backend_id is None or backend.id == request.backend_id
