"""Events: order, repetition, what the agent did itself, and a broker that is away."""

from __future__ import annotations

import time

import pytest

from compute import events
from compute.events import EventRelay
from compute.virt.driver import NOSTATE, RUNNING, SHUTDOWN, Event
from hostler.resources.server.specs import ServerSpec
from tests.harness.compute_agents import Agent, FakeConductor
from tests.harness.contexts import attempt_of


@pytest.fixture
def sink() -> FakeConductor:
    return FakeConductor()


def kinds(sink: FakeConductor, server_id: str = "a") -> list[str]:
    return [event["event"] for event in sink.events if event["server_id"] == server_id]


def test_neighbours_of_the_same_state_become_one(sink: FakeConductor) -> None:
    relay = EventRelay("h", sink)
    for kind in ("started", "resumed", "stopped", "stopped", "started"):
        relay.add(Event("a", kind, "t"))
        relay.add(Event("b", "crashed", "t"))
    relay.flush()
    assert kinds(sink) == ["started", "stopped", "started"] and kinds(sink, "b") == ["crashed"]
    assert sink.events[0]["power_state"] == "running"


def test_events_wait_for_the_broker_in_order(sink: FakeConductor) -> None:
    relay = EventRelay("h", sink, settle_s=0)
    sink.silent = OSError()
    relay.add(Event("a", "started", "1"))
    assert not relay.flush()
    relay.add(Event("a", "stopped", "2"))
    sink.silent = None
    relay.start()
    deadline = time.monotonic() + 5
    while len(sink.events) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    relay.stop()
    assert kinds(sink) == ["started", "stopped"]


def test_a_flood_keeps_the_last_of_each(sink: FakeConductor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_PENDING", 10)
    relay = EventRelay("h", sink)
    for index in range(50):
        relay.add(Event("a", "started" if index % 2 else "stopped", str(index)))
    relay.add(Event("b", "crashed", "x"))
    relay.flush()
    assert kinds(sink)[-1] == "started" and kinds(sink, "b") == ["crashed"] and len(sink.events) <= 12


def test_what_the_reply_tells_is_not_told_again(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.manager.reboot_server(attempt_of("r"), server.to_wire(), True, None)
    agent.destroy(server)
    agent.relay.flush()
    assert agent.conductor.events == []


def test_a_guest_that_left_has_nothing_to_tell(sink: FakeConductor) -> None:
    relay = EventRelay("h", sink)
    relay.hold("a")
    relay.add(Event("a", "paused", "t"))  # for its last moment here
    relay.release("a", NOSTATE)
    relay.flush()
    assert sink.events == []


@pytest.mark.parametrize(("end_state", "told"), [(RUNNING, []), (SHUTDOWN, ["started"]), (None, ["started"])])
def test_a_guest_that_is_to_come_is_told_of_by_the_work_that_takes_it_over(sink: FakeConductor, end_state: str | None,
                                                                           told: list[str]) -> None:
    relay = EventRelay("h", sink)
    relay.hold("a")
    relay.release("a", None, awaited=True)
    for kind in ("started", "resumed"):
        relay.add(Event("a", kind, "t"))
    relay.flush()
    assert sink.events == []
    relay.hold("a")
    relay.release("a", end_state)
    relay.flush()
    assert kinds(sink) == told
    relay.add(Event("a", "stopped", "t"))
    relay.flush()
    assert kinds(sink) == [*told, "stopped"], "it is waited for no more"


def test_what_happens_behind_the_agents_back_is_told(agent: Agent, server: ServerSpec) -> None:
    agent.spawn(server)
    agent.driver.happen(server.id, "crashed")
    agent.relay.flush()
    assert kinds(agent.conductor, server.id) == ["crashed"]
