"""Telling the conductors that there is work, without making a request wait for the broker.

A thread sends the casts; when the broker takes none, the message is dropped: conductors look for pending operations
themselves.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import Protocol

from hostler import errors
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)


class Conductors(Protocol):
    """What the waker needs of `conductor.rpcapi`."""

    def run_operation(self, context: RequestContext, operation_id: str) -> None:
        """Cast the wake-up for one operation."""


class Waker:
    """Sends wake-ups from a thread of its own."""

    def __init__(self, conductors: Conductors) -> None:
        self._conductors = conductors
        self._queue: queue.SimpleQueue[tuple[RequestContext, str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="waker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self, context: RequestContext, *operation_ids: str) -> None:
        """Queue a wake-up for each operation; never blocks, never fails."""
        for operation_id in operation_ids:
            self._queue.put((context, operation_id))

    def stop(self) -> None:
        """Send what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=5)

    def _send_all(self) -> None:
        while (item := self._queue.get()) is not None:
            context, operation_id = item
            try:
                self._conductors.run_operation(context, operation_id)
            except errors.Silent as error:
                LOG.warning("wake-up for operation %s was not sent (%s); a conductor will find it",
                            operation_id, error)
            except Exception:
                LOG.exception("wake-up for operation %s was not sent; a conductor will find it", operation_id)
