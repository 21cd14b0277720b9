"""Places at hosts: taken, given up, and waited for a moment where calls end."""

from __future__ import annotations

import threading
import time

import pytest

from conductor.engine.slots import Slots
from tests.harness.ports import wait_for


@pytest.fixture
def slots() -> Slots:
    made = Slots(limit=1)
    made.enter("first", "host1")
    return made


def ask(slots: Slots, operation_id: str, host: str, wait_s: float = 30) -> tuple[threading.Thread, list[bool]]:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(slots.enter(operation_id, host, wait_s)), daemon=True)
    thread.start()
    return thread, answers


def test_a_place_at_a_host_whose_calls_do_not_end_is_not_waited_for(slots: Slots) -> None:
    started = time.monotonic()
    assert not slots.enter("second", "host1", wait_s=30)
    assert time.monotonic() - started < 10


def test_a_place_at_a_host_whose_calls_end_is_waited_for(slots: Slots) -> None:
    slots.leave("first")
    slots.enter("second", "host1")
    thread, answers = ask(slots, "third", "host1")
    assert not slots.enter("fourth", "host1", wait_s=0.01)
    slots.leave("second")
    thread.join(10)
    assert answers == [True]
    assert slots.full_hosts() == ["host1"]


def test_no_more_wait_than_are_inside(slots: Slots) -> None:
    slots.leave("first")
    slots.enter("second", "host1")
    thread, answers = ask(slots, "third", "host1")
    wait_for(lambda: slots._patient["host1"] == 1, "the third waits", 10)
    started = time.monotonic()
    assert not slots.enter("fourth", "host1", wait_s=30)
    assert time.monotonic() - started < 10
    slots.leave("second")
    thread.join(10)
    assert answers == [True]


def test_who_waits_holds_no_place_elsewhere(slots: Slots) -> None:
    for host in ("host1", "host2"):
        slots.enter("before", host)
        slots.leave("before")
    slots.leave("first")
    slots.enter("first", "host1")
    slots.enter("second", "host2")
    one, answers = ask(slots, "first", "host2")
    wait_for(lambda: slots.full_hosts() == ["host2"], "the first gives its place up", 10)
    assert slots.enter("second", "host1")
    one.join(10)
    assert answers == [True]


def test_who_gives_up_can_be_told_later(slots: Slots) -> None:
    assert not slots.enter("second", "host1")
    slots.wait("second", "host1")
    assert slots.leave("first") == "second"
    assert slots.leave("first") is None
