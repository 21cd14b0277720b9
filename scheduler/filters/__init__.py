"""Filters: which hosts may take a request. One file, one filter, one mask; named in `[scheduler] filters`.

Entry points of the group `hostler.scheduler.filters` name classes that are made without arguments.
"""

from __future__ import annotations

from typing import Protocol

from scheduler.request import Request
from scheduler.snapshot import Mask, Snapshot


class Filter(Protocol):
    """What a filter offers."""

    def mask(self, request: Request, snapshot: Snapshot) -> Mask | None:
        """Return which hosts may take the request; None when the request asks nothing of this filter.

        Pure: neither argument is changed. It is asked about all hosts, also those that other filters removed.
        """
