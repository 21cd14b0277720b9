"""Tells the conductors how far a call with a long step is, once a second at most."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from hostler import errors
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
TELL_EVERY_S = 1.0
ASK_EVERY_S = 5.0  # whether the work is still wanted, while nothing moves


class Audience(Protocol):
    """Receives the progress of calls."""

    def report_progress(self, context: RequestContext, percent: int) -> bool:
        """Take one note; return whether the operation still wants the work."""


class ProgressReports:
    """The reports of one call; without a context (the agent's own work) nobody waits for them."""

    def __init__(self, audience: Audience, context: RequestContext | None) -> None:
        self._audience = audience
        self._context = context
        self._told_at = time.monotonic()
        self._told: int | None = None

    def tell(self, percent: int) -> None:
        """Report, unless it was done just now; a conductor that does not answer does not stop the copy.

        Raises Unwanted when the operation was asked to stop: a deletion must not wait for a copy of what it deletes.
        """
        since_s = time.monotonic() - self._told_at
        if self._context is None or since_s < (ASK_EVERY_S if percent == self._told else TELL_EVERY_S):
            return
        self._told_at, self._told = time.monotonic(), percent
        try:
            wanted = self._audience.report_progress(self._context, percent)
        except errors.Silent as error:
            LOG.debug("Progress of operation %s was not reported: %s", self._context.operation_id, error)
            return
        if not wanted:
            raise errors.Unwanted
