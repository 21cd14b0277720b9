"""Faults on order."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hostler import errors
from hostler.agent.faults import CRASH_STATUS, Faults, Order


def test_orders_are_for_a_step_a_server_and_a_number_of_times() -> None:
    faults = Faults()
    faults.order(Order(step="a", action="fail", server_id="s1", times=2))
    faults.reach("b", "s1")
    faults.reach("a", "s2")
    for _ in range(2):
        with pytest.raises(errors.AgentError):
            faults.reach("a", "s1")
    faults.reach("a", "s1")
    faults.order(Order(step="a", action="fail", times=0))
    for _ in range(3):
        with pytest.raises(errors.AgentError):
            faults.reach("a")
    faults.clear()
    faults.reach("a")


def test_a_crash_ordered_by_file_kills_once(tmp_path: Path) -> None:
    control = tmp_path / "faults.json"
    control.write_text(json.dumps([{"step": "x", "action": "crash"}, {"step": "y", "action": "slow", "seconds": 0}]))
    program = ("import sys; from pathlib import Path; from hostler.agent.faults import Faults\n"
               "Faults(Path(sys.argv[1])).reach('x')")
    run = [sys.executable, "-W", "ignore", "-c", program, str(control)]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    assert subprocess.run(run, env=environment, check=False).returncode == CRASH_STATUS
    assert [order["step"] for order in json.loads(control.read_text())] == ["y"]
    assert subprocess.run(run, env=environment, check=False).returncode == 0
