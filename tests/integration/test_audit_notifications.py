"""Audit events on a real broker, which is down at first, and again later."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import amqp
import kombu
import pytest

from hostler import conf as configuration
from hostler.audit import trail
from tests.harness.backends import RabbitMQ
from tests.harness.ports import wait_for


def test_events_wait_for_the_broker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Given a broker that is down, when events come, then they wait; when it is up, all are in the topic's queue once.

    The log says once that they wait, and holds no event.
    """
    broker = RabbitMQ(tmp_path / "rabbitmq")
    made = trail.build(configuration.load([], config_files=[], overrides={
        "state_path": str(tmp_path), "transport_url": broker.url,
        "oslo_messaging_notifications.driver": ["messagingv2"]}))
    made.start()
    try:
        made.put(("identity.user.created", {"id": "one", "username": "mallory"}))
        wait_for(lambda: len(_lines(caplog)) == 1, "the line that says so", timeout_s=30)
        broker.start()
        made.put(("identity.user.created", {"id": "two", "username": "mallory"}))
        assert [_take(broker), _take(broker)] == ["one", "two"]
        broker.stop()
        made.put(("identity.user.created", {"id": "three", "username": "mallory"}))
        broker.start()
        assert _take(broker) == "three"
    finally:
        made.stop()
        broker.stop()
    waits, again = _lines(caplog)
    assert waits.startswith("audit events wait") and again == "the bus takes audit events again"
    assert "mallory" not in caplog.text


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records
            if record.name.startswith("hostler.audit") and record.levelno >= logging.WARNING]


def _take(broker: RabbitMQ) -> str:
    """Return the id of the next event in the queue."""
    found: list[str] = []

    def looked() -> bool:
        with kombu.Connection(broker.url.replace("rabbit://", "amqp://")) as connection:
            try:
                message = connection.default_channel.basic_get("notifications.info", no_ack=True)
            except amqp.NotFound:
                return False
        if message is not None:
            found.append(str(json.loads(json.loads(message.body)["oslo.message"])["payload"]["id"]))
        return bool(found)

    wait_for(looked, "an event in the queue", timeout_s=60, every_s=0.5)
    return found[0]
