"""Weighers of back ends: which of those that passed is best; multipliers in `[scheduler] backend_weighers`.

Entry points of the group `hostler.scheduler.backend_weighers` name classes that are made without arguments.
"""

from __future__ import annotations

from typing import Protocol

from scheduler.backend_request import BackendRequest
from scheduler.backend_states import BackendState


class BackendWeigher(Protocol):
    """What a weigher offers."""

    def weigh(self, request: BackendRequest, backend: BackendState) -> float:
        """Return a value, more is better, in any unit; it is stretched to 0..1 over the back ends. Pure."""
