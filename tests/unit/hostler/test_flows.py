"""The engine runs, reverts and resumes as TaskFlow's own does, saves what changed, and shares compiled flows."""

from __future__ import annotations

from typing import Any

import pytest
from taskflow import states
from taskflow.patterns import linear_flow
from taskflow.persistence import models

from hostler.flows import Compiled, Engine, Task


class Killed(BaseException):
    """Stands for kill -9: passes through everything."""


class Noting(Task):
    """Notes that it ran; fails or dies when it is told to."""

    def execute(self, notes: list[str], fail: dict[str, BaseException]) -> str:
        notes.append(self.name)
        if self.name in fail:
            raise fail.pop(self.name)
        return f"{self.name} done"

    def revert(self, notes: list[str], result: Any, **_: Any) -> None:
        notes.append(f"-{self.name}")


class Records:
    """A saver that keeps the record of each step as it was saved last."""

    def __init__(self) -> None:
        self.steps: dict[str, dict[str, Any]] = {}
        self.saves: list[tuple[str, str]] = []

    def update_flow_details(self, flow_detail: models.FlowDetail) -> models.FlowDetail:
        return flow_detail

    def update_atom_details(self, atom_detail: models.AtomDetail) -> models.AtomDetail:
        self.steps[atom_detail.name] = atom_detail.to_dict()
        self.saves.append((atom_detail.name, atom_detail.state))
        return atom_detail


COMPILED = Compiled(linear_flow.Flow("noting").add(*(Noting(name=name, provides=f"of_{name}") for name in "abc")))


def _store(notes: list[str], **fail: BaseException) -> dict[str, Any]:
    return {"notes": notes, "fail": fail}


def test_tasks_run_in_order_and_their_results_are_there() -> None:
    notes: list[str] = []
    engine = Engine(COMPILED, store=_store(notes))
    engine.run()
    assert notes == ["a", "b", "c"]
    assert engine.storage.fetch("of_b") == "b done"


def test_what_was_done_is_undone_when_a_task_fails() -> None:
    notes: list[str] = []
    with pytest.raises(ValueError, match="full"):
        Engine(COMPILED, store=_store(notes, c=ValueError("full"))).run()
    assert notes == ["a", "b", "c", "-c", "-b", "-a"]


def test_a_run_that_died_is_resumed_at_the_task_that_ran() -> None:
    notes: list[str] = []
    records, detail = Records(), models.FlowDetail("noting", uuid="1")
    with pytest.raises(Killed):
        Engine(COMPILED, store=_store(notes, b=Killed()), flow_detail=detail, saver=records).run()
    assert (records.steps["a"]["state"], records.steps["b"]["state"]) == (states.SUCCESS, states.RUNNING)
    notes.clear()
    engine = Engine(COMPILED, store=_store(notes), flow_detail=detail, saver=records)
    engine.run()
    assert notes == ["b", "c"]
    assert engine.storage.fetch("of_a") == "a done"


def test_a_step_is_saved_when_its_state_changes_and_not_besides() -> None:
    records = Records()
    Engine(COMPILED, store=_store([]), saver=records).run()
    assert records.saves == [(name, state) for name in "abc" for state in (states.RUNNING, states.SUCCESS)]


def test_runs_at_the_same_time_share_a_flow_and_nothing_else() -> None:
    outer: list[str] = []
    inner: list[str] = []

    class Nesting(list[str]):
        def append(self, name: str) -> None:
            outer.append(name)
            Engine(COMPILED, store=_store(inner)).run()

    Engine(COMPILED, store=_store(Nesting())).run()
    assert outer == ["a", "b", "c"]
    assert inner == ["a", "b", "c"] * 3
