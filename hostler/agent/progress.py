"""Tells the conductors how far a call with a long step is, once a second at most."""

from __future__ import annotations

import logging
import time
from typing import Protocol

from hostler import errors
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
TELL_EVERY_S = 1.0


class Audience(Protocol):
    """Receives the progress of calls."""

    def report_progress(self, context: RequestContext, percent: int) -> None:
        """Take one note."""


class ProgressReports:
    """The reports of one call; without a context (the agent's own work) nobody waits for them."""

    def __init__(self, audience: Audience, context: RequestContext | None) -> None:
        self._audience = audience
        self._context = context
        self._told_at = time.monotonic()
        self._told: int | None = None

    def tell(self, percent: int) -> None:
        """Report, unless it was done just now; a conductor that does not answer is no reason to stop."""
        now = time.monotonic()
        if self._context is None or percent == self._told or now - self._told_at < TELL_EVERY_S:
            return
        self._told_at, self._told = now, percent
        try:
            self._audience.report_progress(self._context, percent)
        except errors.Silent as error:
            LOG.debug("Progress of operation %s was not reported: %s", self._context.operation_id, error)
