"""Back ends in service: they and their node are enabled, it has reported lately, they are healthy."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class ServiceUp:
    """Passes back ends whose node was seen within `service_down_time`."""

    def passes(self, _request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether it was up when it was read."""
        return backend.up
