"""Connections to the broker, opened with a time limit.

oslo.messaging opens the queue for answers inside the first call, and connections for sending as they are needed; while
the broker is unreachable, both can hang indefinitely, whatever number of retries the call asks for, and the service
loses a thread each time. Here a separate thread opens the queue for answers, and only that thread can hang; connections
for sending are tried once.

Its receivers wait for one millisecond after each message, then for two, four and so on up to five seconds: a message
that comes alone wakes its receiver a dozen times, which costs more than the message. Only notifications, which we do
not receive, need that, to be acknowledged soon. Here they wait for a second first.

The price: we use private attributes of the driver.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import amqp
import kombu.exceptions
import oslo_messaging
from oslo_messaging._drivers import amqpdriver
from oslo_messaging._drivers import common as driver_common

from hostler import errors

LOG = logging.getLogger(__name__)

# A healthy broker on a busy machine takes up to a second for a connection and a queue.
_PATIENCE_S = 5.0
_PAUSE_S = 1.0
_FIRST_WAIT_S = 1.0

# What the libraries raise when the broker is unreachable or a connection to it breaks.
BROKER_ERRORS: tuple[type[Exception], ...] = (
    oslo_messaging.MessageDeliveryFailure, driver_common.RPCException, kombu.exceptions.KombuError,
    amqp.exceptions.AMQPError, OSError, EOFError)


def limit_retries(driver: Any) -> None:
    """Make `driver` try a connection for sending once, also where it would retry endlessly (answers, heartbeats)."""
    pool = getattr(driver, "_connection_pool", None)
    if pool is not None:
        pool.create = functools.partial(_create, pool.create)


def wait_calmly() -> None:
    """Make receivers that are made from now on wait for messages without waking up in between."""
    amqpdriver.ACK_REQUEUE_EVERY_SECONDS_MIN = _FIRST_WAIT_S


def _create(create: Callable[..., Any], purpose: str = driver_common.PURPOSE_SEND, retry: int | None = None) -> Any:
    return create(purpose, retry=0 if purpose == driver_common.PURPOSE_SEND else retry)


class ReplyQueue:
    """The queue on which a process receives answers to its calls."""

    def __init__(self, driver: Any) -> None:
        self._open: Callable[[], object] | None = getattr(driver, "_get_reply_q", None)
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._opening_since: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether the queue is open, or was never needed."""
        return self._ready.is_set() or self._opening_since is None

    def ensure(self) -> None:
        """Wait for the queue; raises BrokerSilent after five seconds of trying, and at once from then on."""
        if self._ready.is_set() or self._open is None:
            return
        with self._lock:
            if self._opening_since is None:
                self._opening_since = time.monotonic()
                threading.Thread(target=self._keep_opening, name="reply-queue", daemon=True).start()
            left_s = self._opening_since + _PATIENCE_S - time.monotonic()
        if not self._ready.wait(max(left_s, 0)):
            raise errors.BrokerSilent()

    def _keep_opening(self) -> None:
        assert self._open is not None
        while not self._ready.is_set():
            try:
                self._open()
            except Exception as error:  # noqa: BLE001 - any error means that there is no queue yet
                LOG.debug("no queue for answers yet: %r", error)
                time.sleep(_PAUSE_S)
            else:
                self._ready.set()


__all__ = ["BROKER_ERRORS", "ReplyQueue", "limit_retries", "wait_calmly"]
