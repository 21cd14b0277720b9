"""Requests never wait for the trail, whatever its destinations do."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from hostler.audit.destinations import Event
from hostler.audit.trail import Trail
from tests.harness.ports import wait_for

EVENTS: tuple[Event, ...] = tuple((f"t.{number}", {"id": str(number)}) for number in range(20))


class Listed:
    """Takes everything, once `open` is set; raises what `fault` says."""

    name = "the list"

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.taken: list[Event] = []
        self.fault: Exception | None = None

    def write(self, events: Sequence[Event]) -> None:
        self.entered.set()
        self.open.wait(10)
        if self.fault is not None:
            raise self.fault
        self.taken += events


def logged(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.getMessage() for record in caplog.records if record.name == "hostler.audit.trail"]


def test_a_blocked_destination_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Given a destination that hangs beside one that works, when more events come than may wait, then all reach the one
    that works; the other loses those that did not fit, and the log says so once, and again when it works."""
    blocked, working = Listed(), Listed()
    working.open.set()
    trail = Trail((blocked, working), queue_size=4)
    trail.start()
    trail.put(EVENTS[0])
    assert blocked.entered.wait(10)
    for number, event in enumerate(EVENTS[1:]):
        trail.put(event)
        wait_for(lambda seen=number + 2: len(working.taken) == seen, "the other destination's event", timeout_s=10)
    assert logged(caplog) == ["audit events for the list are dropped: its queue is full"]
    blocked.open.set()
    wait_for(lambda: len(blocked.taken) == 5, "what waited", timeout_s=10)
    assert blocked.taken == list(EVENTS[:5])
    assert working.taken == list(EVENTS)
    wait_for(lambda: logged(caplog)[1:] == ["the list takes audit events again; 15 were dropped"], "the count")
    trail.stop()


def test_a_fault_costs_its_events_only(caplog: pytest.LogCaptureFixture) -> None:
    destination = Listed()
    destination.open.set()
    destination.fault = OSError("disk full")
    trail = Trail((destination,), queue_size=4)
    trail.start()
    trail.put(EVENTS[0])
    wait_for(lambda: len(logged(caplog)) == 1, "the fault in the log")
    destination.fault = None
    trail.put(EVENTS[1])
    trail.stop()
    assert destination.taken == [EVENTS[1]]
    assert "1 were dropped" in logged(caplog)[1]


def test_what_waits_is_written_at_the_end() -> None:
    destination = Listed()
    destination.open.set()
    trail = Trail((destination,), queue_size=100)
    for event in EVENTS:
        trail.put(event)
    trail.start()
    trail.stop()
    assert destination.taken == list(EVENTS)


def test_without_destinations_it_is_off() -> None:
    assert not Trail().enabled
    Trail().put(EVENTS[0])
