"""From the hypervisor's events to the conductors: in order, once, in batches.

Hypervisors repeat themselves (a start is reported as started and resumed, a guest's reboot up to three times) and also
report what the agent itself has done. So consecutive events of a server with the same state become one, and events
during the agent's own work on a server are held until the work ends: those that say the same as its reply are dropped,
unless another state was reported since the last work that succeeded: that report may come too late for the operation,
and only a newer one corrects it. Those of a guest that left are dropped, and those of one that is to come are held
until the work that takes it over: a report while a guest is sent takes time from it. Events wait here while the broker
is unreachable; past a limit only the last of each server is kept, which is all that reconciliation needs.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from compute.virt.driver import NOSTATE, Event
from hostler import errors
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
MAX_PENDING = 2000
MAX_BATCH = 200
RETRY_S = 1.0


class EventSink(Protocol):
    """The conductors, as far as events go."""

    def server_events(self, context: RequestContext, host: str, events: list[dict[str, Any]]) -> None:
        """Take the events of one host."""


class EventRelay:
    """Queues events and sends them from a thread of its own."""

    def __init__(self, host: str, sink: EventSink, *, settle_s: float = 0.1,
                 revision_of: Callable[[str], int] = lambda _server_id: 0,
                 next_number: Callable[[], int] = lambda: 0,
                 swallows: Callable[[str, str], bool] = lambda _server_id, _kind: False) -> None:
        self._host = host
        self._sink = sink
        self._settle_s = settle_s
        self._revision_of = revision_of
        self.next_number = next_number
        self.swallows = swallows  # tells of a server and a kind of event that the fence caused it
        self._condition = threading.Condition()
        self._pending: list[Event] = []
        self._held: dict[str, list[Event]] = {}
        self._holders: Counter[str] = Counter()
        self._reported: dict[str, str] = {}  # server → power state last reported, until a work on it succeeds
        self._stopping = False
        self._thread: threading.Thread | None = None

    def add(self, event: Event) -> None:
        """Take one event; returns at once."""
        if self.swallows(event.server_id, event.kind):
            LOG.info("Server %s is %s for the fence's sake", event.server_id, event.kind)
            return
        with self._condition:
            held = self._held.get(event.server_id)
            if held is None:
                _append(self._pending, self._stamped(event))
                self._reported[event.server_id] = event.power_state
            else:
                _append(held, event)
            if len(self._pending) > MAX_PENDING:
                self._pending = _last_of_each(self._pending)
            self._condition.notify_all()

    def hold(self, server_id: str) -> None:
        """Hold back the server's events until `release`; the agent is about to change it."""
        with self._condition:
            self._holders[server_id] += 1
            self._held.setdefault(server_id, [])

    def release(self, server_id: str, expected_state: str | None, *, awaited: bool = False) -> None:
        """Let go; events that end in `expected_state` are dropped, others are sent on. Those of a guest that is
        `awaited` are held on, until the next work on it ends."""
        with self._condition:
            self._holders[server_id] -= 1
            if self._holders[server_id] > 0:
                return
            del self._holders[server_id]
            if awaited:
                return
            held = self._held.pop(server_id, [])
            reported = self._reported.pop(server_id, expected_state)
            # A guest that left has its reports from its new host.
            if held and expected_state != NOSTATE and not held[-1].power_state == reported == expected_state:
                for event in held:
                    _append(self._pending, self._stamped(event))
                self._condition.notify_all()
                reported = held[-1].power_state
            if expected_state is None and reported is not None:
                self._reported[server_id] = reported

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Send what waits (one try) and end."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def flush(self) -> bool:
        """Send one batch now; tells whether the bus took it (or nothing waited)."""
        with self._condition:
            batch = self._pending[:MAX_BATCH]
        if not batch:
            return True
        events = [{"server_id": event.server_id, "event": event.kind, "power_state": event.power_state,
                   "at": event.at, "revision": event.revision, "number": event.number} for event in batch]
        try:
            self._sink.server_events(RequestContext.system(), self._host, events)
        except errors.Unavailable as error:
            LOG.warning("%d server events wait: %s", len(batch), error.details)
            return False
        with self._condition:
            sent = set(map(id, batch))
            self._pending = [event for event in self._pending if id(event) not in sent]
        return True

    def _stamped(self, event: Event) -> Event:
        return dataclasses.replace(event, revision=self._revision_of(event.server_id), number=self.next_number())

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._pending and not self._stopping:
                    self._condition.wait()
                if self._stopping:
                    break
                self._condition.wait_for(lambda: self._stopping, self._settle_s)  # neighbours may follow
            if not self.flush():
                with self._condition:
                    self._condition.wait_for(lambda: self._stopping, RETRY_S)
        self.flush()


def _append(events: list[Event], event: Event) -> None:
    for earlier in reversed(events):
        if earlier.server_id == event.server_id:
            if earlier.power_state == event.power_state:
                return
            break
    events.append(event)


def _last_of_each(events: list[Event]) -> list[Event]:
    latest: dict[str, Event] = {}
    for event in events:
        latest.pop(event.server_id, None)
        latest[event.server_id] = event
    LOG.warning("Server events are coming faster than the bus takes them; kept the last of %d servers", len(latest))
    return list(latest.values())
