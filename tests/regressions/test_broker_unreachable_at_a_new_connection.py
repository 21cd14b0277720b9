"""Without a broker, a call that needed a new connection raised kombu's error, which nothing took for silence, and the
first call of a process hung until the broker was back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import amqp.exceptions
import kombu.exceptions
import oslo_messaging
import pytest
from oslo_messaging._drivers import common as driver_common

from hostler import conf as hostler_conf
from hostler import errors
from hostler.bus import Bus, connections
from hostler.context import RequestContext
from tests.harness.ports import free_port

PATIENCE_S = 0.5


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    """A process without any connection yet, whose broker does not listen."""
    monkeypatch.setattr(connections, "_PATIENCE_S", PATIENCE_S)
    made = Bus(hostler_conf.load([], config_files=[], overrides={
        "transport_url": f"rabbit://guest:guest@127.0.0.1:{free_port()}/"}))
    yield made
    made.close()


@pytest.mark.parametrize("verb", ["call", "cast"])
def test_a_fresh_process_is_told_in_time(bus: Bus, verb: str) -> None:
    peer = bus.client("conductor", "1.0").to()
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(errors.BrokerSilent):
            getattr(peer, verb)(RequestContext.system(), "ping")
    assert time.monotonic() - started < PATIENCE_S + 2, "the second call does not wait for what the first one did"


@pytest.mark.parametrize(("error", "expected"), [
    (kombu.exceptions.OperationalError("[Errno 111] Connection refused"), errors.BrokerSilent),
    (oslo_messaging.MessageDeliveryFailure("no connection"), errors.BrokerSilent),
    (amqp.exceptions.ConnectionForced("CONNECTION_FORCED - broker forced connection closure"), errors.BrokerSilent),
    (amqp.exceptions.RecoverableConnectionError("Socket was disconnected"), errors.BrokerSilent),
    (amqp.exceptions.UnexpectedFrame("?"), errors.BrokerSilent),
    (ConnectionResetError(104, "Connection reset by peer"), errors.BrokerSilent),
    (TimeoutError("timed out"), errors.BrokerSilent),
    (driver_common.Timeout(), errors.BrokerSilent),
    (oslo_messaging.MessagingTimeout("no answer"), errors.Silent),
    (oslo_messaging.MessageUndeliverable(None, None, None, None), errors.Silent),
    (ValueError("a fault of ours"), ValueError)], ids=lambda value: getattr(value, "__name__", type(value).__name__))
@pytest.mark.parametrize("verb", ["call", "cast"])
def test_whatever_the_libraries_raise_is_told_apart(monkeypatch: pytest.MonkeyPatch, verb: str, error: Exception,
                                                    expected: type[Exception]) -> None:
    bus = Bus(hostler_conf.load([], config_files=[], overrides={"transport_url": "kombu+memory://"}))

    def fail(*_arguments: Any, **_named: Any) -> None:
        raise error

    monkeypatch.setattr(bus.transport._driver, "send", fail)
    with pytest.raises(expected) as caught:
        getattr(bus.client("conductor", "1.0").to(), verb)(RequestContext.system(), "ping")
    assert type(caught.value) is expected
    bus.close()
