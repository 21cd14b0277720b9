"""Weighers: which of the hosts that passed is best. One file, one weigher; multipliers in `[scheduler] weighers`.

Entry points of the group `hostler.scheduler.weighers` name classes that are made without arguments.
"""

from __future__ import annotations

from typing import Protocol

from scheduler.request import Request
from scheduler.snapshot import Reals, Rows, Snapshot


class Weigher(Protocol):
    """What a weigher offers."""

    def weigh(self, request: Request, snapshot: Snapshot, rows: Rows) -> Reals | None:
        """Return a value for each of `rows`, more is better, in any unit; None when it has no opinion.

        Pure. The caller stretches the values to 0..1 over `rows` before it multiplies and adds.
        """
