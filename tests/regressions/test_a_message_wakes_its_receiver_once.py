"""A message that came alone woke its receiver a dozen times within seconds: most of a call's processor time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from oslo_messaging._drivers import amqpdriver
from oslo_messaging._drivers import common as driver_common
from oslo_utils import eventletutils

from hostler import conf as hostler_conf
from hostler.bus import Bus

_TURNS = 4


class Broker:
    """A connection and a driver: one message comes, then none; notes for how long each turn waits."""

    prefetch_size = 0

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self.on_wait: Callable[[], object] = lambda: None

    def consume(self, timeout: float) -> None:
        """Wait for a message."""
        self.waits_s.append(timeout)
        self.on_wait()
        if len(self.waits_s) > 1:
            raise driver_common.Timeout

    def declare_direct_consumer(self, *_: Any) -> None:
        """The queue for answers."""

    def stop_consuming(self) -> None:
        """End."""


@pytest.fixture(autouse=True)
def bus() -> Any:
    conf = hostler_conf.load([], config_files=[], overrides={"transport_url": "kombu+memory://"})
    made = Bus(conf)
    yield made
    made.close()


def test_a_server_sleeps_after_a_message() -> None:
    broker = Broker()
    listener = amqpdriver.RpcAMQPListener(broker, broker)
    broker.on_wait = lambda: listener._shutdown.set() if len(broker.waits_s) == _TURNS else None
    listener.poll()
    assert min(broker.waits_s) >= 1


def test_a_client_sleeps_after_an_answer() -> None:
    broker = Broker()
    waiter = amqpdriver.ReplyWaiter.__new__(amqpdriver.ReplyWaiter)
    waiter.conn, waiter._thread_exit_event = broker, eventletutils.Event()
    broker.on_wait = lambda: waiter._thread_exit_event.set() if len(broker.waits_s) == _TURNS else None
    waiter.poll()
    assert min(broker.waits_s) >= 1
