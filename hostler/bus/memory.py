"""The in-memory broker of the all-in-one: kombu's, but consumers wait instead of polling.

kombu's memory transport cannot wait for a message: a consumer sleeps between polls, and oslo.messaging turns that sleep
off, so an idle process would spin. Here each message wakes the connections that consume its queue. `install` makes
`kombu+memory://` use this transport.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import defaultdict
from queue import Empty
from typing import Any

from kombu import transport as kombu_transport
from kombu.transport import memory

# oslo.messaging asks for 50 ms; its loops only need to check now and then whether they should end.
_LONGEST_WAIT_S = 0.25

_lock = threading.Lock()
_consumers: dict[str, weakref.WeakSet[Transport]] = defaultdict(weakref.WeakSet)


def _wake(queue: str) -> None:
    with _lock:
        waiting = list(_consumers.get(queue, ()))
    for transport in waiting:
        transport.message_came.set()


class Channel(memory.Channel):
    """kombu's memory channel, which also wakes the consumers of a queue."""

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Consume, and be woken by messages in this queue."""
        with _lock:
            _consumers[queue].add(self.connection)
        answer = super().basic_consume(queue, *args, **kwargs)
        self.connection.message_came.set()
        return answer

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        _wake(queue)

    def _put_fanout(self, exchange: str, message: Any, routing_key: str | None = None, **kwargs: Any) -> None:
        super()._put_fanout(exchange, message, routing_key, **kwargs)
        for queue in self._lookup(exchange, routing_key):
            _wake(queue)

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        super()._delete(queue, *args, **kwargs)
        with _lock:
            _consumers.pop(queue, None)


class Transport(memory.Transport):
    """kombu's memory transport whose `drain_events` sleeps until there is something to drain."""

    Channel = Channel

    def __init__(self, client: Any, **kwargs: Any) -> None:
        super().__init__(client, **kwargs)
        self.message_came = threading.Event()

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """Deliver one message; raises `socket.timeout` when none came in time."""
        cycle: Any = self.cycle
        end = None if timeout is None else time.monotonic() + max(timeout, _LONGEST_WAIT_S)
        while True:
            self.message_came.clear()  # before the poll, so that a message during it is not missed
            try:
                cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError from None
                self.message_came.wait(left)
            else:
                return


def install() -> None:
    """Make every `memory://` connection of the process use this transport."""
    kombu_transport.TRANSPORT_ALIASES["memory"] = f"{__name__}:Transport"
