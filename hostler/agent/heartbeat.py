"""Reports to the conductors every few seconds, and notices when no message reaches the agent any more.

When the conductors do not answer, either they are down or the agent is deaf (see
`hostler.agent.buslink`); from here both look alike, so after a while the bus is rebuilt, at most once a
minute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import oslo_messaging

from hostler import errors
from hostler.agent.periodic import Periodic
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
SELF_TEST_S = 60.0
RENEW_S = 60.0
DEAF_AFTER = 2  # failed self tests in a row


class Link(Protocol):
    """What the heartbeat needs of `BusLink`."""

    @property
    def renewable(self) -> bool:
        """Whether `renew` can do anything."""

    def heartbeat(self, context: RequestContext, host: str, report: dict[str, Any]) -> dict[str, Any]:
        """Send one report."""

    def hears_itself(self) -> bool:
        """Tell whether calls to this agent arrive."""

    def renew(self) -> None:
        """Rebuild the connection."""


class Heartbeat:
    """One turn per `interval_s`; `patience_s` of silence make the connection suspect."""

    def __init__(self, host: str, link: Link, report: Callable[[], dict[str, Any]], *, interval_s: float,
                 patience_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._link = link
        self._report = report
        self._patience_s = patience_s
        self._now = now
        self._silent_since: float | None = None
        self._heard = False  # whether any report was answered yet
        self._renewed_at = self._tested_at = now()
        self._failed_tests = 0
        self._periodic = Periodic("heartbeat", interval_s, self.beat, retry_s=min(interval_s, 2.0), jitter=0.1)
        # With the moment when the report was begun, on the clock that goes on while the machine sleeps.
        self.on_heard: Callable[[float, dict[str, Any]], None] = lambda _sent_at, _answer: None
        self.on_answer: Callable[[], None] = lambda: None  # after the first answer, and after each silence

    def start(self) -> None:
        """Begin, at once."""
        self._periodic.start()

    def stop(self) -> None:
        """End."""
        self._periodic.stop()

    def beat(self) -> None:
        """Send one report; raises Silent when nobody answered."""
        sent_at = time.clock_gettime(time.CLOCK_BOOTTIME)
        try:
            answer = self._link.heartbeat(RequestContext.system(), self._host, self._report())
        except errors.Silent as error:
            self._note_silence(error)
            raise
        self.on_heard(sent_at, answer or {})
        if self._silent_since is not None:
            LOG.info("The conductors answer again")
        if self._silent_since is not None or not self._heard:
            self._silent_since, self._heard = None, True
            self.on_answer()
        self._test_ears()

    def _note_silence(self, error: errors.Silent) -> None:
        now = self._now()
        if not isinstance(error.__cause__, oslo_messaging.MessagingTimeout):
            # The broker took no message: no connection is deaf that does not exist; the driver reconnects by itself.
            self._silent_since = None if self._silent_since is None else now
            return
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since >= self._patience_s and now - self._renewed_at >= RENEW_S:
            LOG.warning("No conductor has answered for %.0f s", now - self._silent_since)
            self._renew()

    def _test_ears(self) -> None:
        now = self._now()
        if not self._link.renewable or now - self._tested_at < SELF_TEST_S:
            return
        self._tested_at = now
        self._failed_tests = 0 if self._link.hears_itself() else self._failed_tests + 1
        if self._failed_tests >= DEAF_AFTER:
            LOG.warning("Calls to this agent do not arrive")
            self._renew()

    def _renew(self) -> None:
        if self._link.renewable:
            self._renewed_at = self._now()
            self._failed_tests = 0
            self._link.renew()
