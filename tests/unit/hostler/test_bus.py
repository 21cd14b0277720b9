"""The client's one form, and what a caller is told when the other end cannot take its message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler import conf as hostler_conf
from hostler import errors
from hostler.agent.fencing import Fence
from hostler.bus import Bus, rpc_method
from hostler.context import RequestContext
from tests.harness.contexts import attempt_of


class Endpoint:
    """Answers with what it was sent."""

    def __init__(self, journal: Path) -> None:
        self.fence = Fence(journal)

    @rpc_method
    def echo(self, context: RequestContext, server: str, long: bool, timeout_s: int) -> list[Any]:
        return [context.operation_id, context.attempt, server, long, timeout_s]

    @rpc_method
    def change(self, context: RequestContext) -> None:
        self.fence.admit(context)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(hostler_conf.load([], config_files=[], overrides={"transport_url": "kombu+memory:////"}))
    server = made.server("echo", "host1", Endpoint(tmp_path / "attempts"), "2.0")
    server.start()
    yield made
    server.stop()
    server.wait()
    made.close()


def test_arguments_may_have_any_name_and_the_operation_travels_in_the_context(bus: Bus) -> None:
    sent = {"server": "s", "long": True, "timeout_s": 5}
    for peer in (bus.client("echo", "2.0").to(), bus.client("echo", "2.0").to("host1", long=True)):
        assert peer.call(attempt_of("op", 3), "echo", sent) == ["op", 3, "s", True, 5]


@pytest.mark.parametrize("version", ["1.1", "2.1", "3.0"])
def test_a_message_of_another_release_is_refused_by_name(bus: Bus, version: str) -> None:
    with pytest.raises(errors.Incompatible, match="The echo service is of another release") as caught:
        bus.client("echo", version).to("host1").call(attempt_of("op"), "change")
    assert "host1" in caught.value.details


def test_a_change_without_its_operation_is_refused(bus: Bus) -> None:
    with pytest.raises(errors.Invalid, match="must name the operation"):
        bus.client("echo", "2.0").to("host1").call(RequestContext.system(), "change")


def test_an_older_attempt_is_refused(bus: Bus) -> None:
    peer = bus.client("echo", "2.0").to("host1")
    peer.call(attempt_of("op", 2), "change")
    with pytest.raises(errors.StaleAttempt):
        peer.call(attempt_of("op", 1), "change")
