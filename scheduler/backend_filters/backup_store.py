"""Back ends whose node reaches the backup store that holds the volume's content."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class BackupStore:
    """Passes back ends of nodes that report the store."""

    def passes(self, request: BackendRequest, backend: BackendState, _backends: Sequence[BackendState]) -> bool:
        """Return whether its node reaches the store."""
        return request.backup_store is None or backend.backup_store == request.backup_store
