"""Filters of back ends: which may hold a volume. One file, one filter; named in `[scheduler] backend_filters`.

Entry points of the group `hostler.scheduler.backend_filters` name classes that are made without arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class BackendFilter(Protocol):
    """What a filter offers."""

    def passes(self, request: BackendRequest, backend: BackendState, backends: Sequence[BackendState]) -> bool:
        """Return whether `backend`, one of `backends`, may hold the volume. Pure."""
