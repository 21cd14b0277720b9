"""Whom an agent asks: conductors that answer, however the broker deals its requests."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import errors
from hostler.agent.buslink import BusLink


def make_link() -> BusLink[object]:
    return BusLink("host1", "compute", "1.0", lambda _bus: object(), open_bus=lambda: pytest.fail("no bus is needed"))


class Conductors:
    """Two of them; the broker deals this agent's requests to the first."""

    def __init__(self) -> None:
        self.hung: set[str] = set()
        self.asked: list[str | None] = []

    def ask(self, conductor: str | None, _timeout_s: float) -> dict[str, Any]:
        self.asked.append(conductor)
        name = conductor or "one"
        if name in self.hung:
            raise errors.Silent(part="The conductor service")
        return {"conductor": name, "conductors": ["one", "two"]}


def test_a_conductor_that_never_was_dealt_a_request_is_known_by_the_answers_of_others() -> None:
    link, conductors = make_link(), Conductors()
    link.ask_until_answered(conductors.ask)
    conductors.hung.add("one")
    conductors.asked.clear()
    for _ in range(6):
        assert link.ask_until_answered(conductors.ask)["conductor"] == "two"
    assert conductors.asked[:2] == ["one", "two"], "the one that answered last comes first, then the other"
    assert len(conductors.asked) <= 6 + 1 + 2, "silent ones cost one wait, and one more for each search"


def test_all_silent() -> None:
    link, conductors = make_link(), Conductors()
    conductors.hung = {"one", "two"}
    with pytest.raises(errors.Silent):
        link.ask_until_answered(conductors.ask)
    assert len(conductors.asked) == 6
