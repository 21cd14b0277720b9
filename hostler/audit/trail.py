"""Where audit events go: a file and, when a driver is configured, notifications on the bus.

Requests hand an event over and go on. Each destination has a thread and a bounded queue of its own, so that an
unreachable broker holds up neither requests nor the file. What does not fit is dropped, counted, and said in the log
once until there is room again.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from oslo_config import cfg

from hostler.audit.destinations import BusDestination, Event, FileDestination

LOG = logging.getLogger(__name__)

_BATCH = 500
_STOP_S = 2.0


class Destination(Protocol):
    """Takes events, in one thread; may be slow, and may raise."""

    name: str

    def write(self, events: Sequence[Event]) -> None:
        """Take the events."""


class _Queue:
    """A destination with its thread and the events that wait for it."""

    def __init__(self, destination: Destination, size: int) -> None:
        self._destination = destination
        self._events: queue.Queue[Event | None] = queue.Queue(size)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, event: Event) -> None:
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self._drop(1, "its queue is full")

    def stop(self) -> None:
        """Write what waits, but not for longer than a moment."""
        try:
            self._events.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        ended = False
        while not ended:
            batch, ended = self._next_batch()
            try:
                self._destination.write(batch)
            except Exception as error:  # noqa: BLE001 - the next event must find a thread
                self._drop(len(batch), repr(error))
                continue
            if self._dropped:
                LOG.warning("%s takes audit events again; %d were dropped", self._destination.name, self._dropped)
                self._dropped = 0

    def _next_batch(self) -> tuple[list[Event], bool]:
        """Wait for an event and return it with those behind it, and whether no more will come."""
        batch: list[Event] = []
        while (event := self._events.get()) is not None:
            batch.append(event)
            if len(batch) >= _BATCH or self._events.empty():
                return batch, False
        return batch, True

    def _drop(self, count: int, reason: str) -> None:
        if not self._dropped:
            LOG.error("audit events for %s are dropped: %s", self._destination.name, reason)
        self._dropped += count


class Trail:
    """Takes events; without destinations it is off."""

    def __init__(self, destinations: Sequence[Destination] = (), queue_size: int = 1) -> None:
        self._queues = tuple(_Queue(destination, queue_size) for destination in destinations)

    @property
    def enabled(self) -> bool:
        """Whether it is worth making events."""
        return bool(self._queues)

    def start(self) -> None:
        """Begin to write."""
        for one in self._queues:
            one.start()

    def put(self, event: Event) -> None:
        """Take an event; never waits and never raises."""
        for one in self._queues:
            one.put(event)

    def stop(self) -> None:
        """Write what waits, where that takes no longer than a moment."""
        for one in self._queues:
            one.stop()


def build(conf: cfg.ConfigOpts) -> Trail:
    """Return the trail that the configuration describes."""
    if not conf.audit.enabled:
        return Trail()
    destinations: list[Destination] = []
    if conf.audit.write_file:
        destinations.append(FileDestination(Path(conf.audit.file or Path(conf.state_path) / "audit.log")))
    if conf.oslo_messaging_notifications.driver:
        destinations.append(BusDestination(conf))
    return Trail(destinations, conf.audit.queue_size)
