"""An agent's reconciliation waited a whole `[bus] call_timeout` (60 s) for a conductor that hung, and a deleted
server's guest ran on for as long. Another conductor is asked after a few seconds."""

from __future__ import annotations

from typing import Any

import pytest

from compute.conductors import ComputeLink
from hostler import errors
from hostler.context import RequestContext
from volume.conductors import VolumeLink

PRESENT: dict[str, Any] = {"backends": {}, "backups": []}


class Conductors:
    """Two conductors: `one` hangs, and the broker sends to it first what names nobody."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.slow_s = 0.0
        self._turns = iter(["one", "two"] * 50)

    def heartbeat(self, *_arguments: Any, conductor: str | None, timeout_s: float) -> dict[str, Any]:
        """Answer as `one` did before it hung."""
        return {"accepted": True, "conductor": "one"}

    volume_heartbeat = heartbeat

    def reconcile(self, *_arguments: Any, conductor: str | None = None, timeout_s: float = 60) -> dict[str, Any]:
        """Answer as `two`, after `slow_s`."""
        needed_s = float("inf") if (conductor or next(self._turns)) == "one" else self.slow_s
        self.waited_s += min(needed_s, timeout_s)
        if needed_s > timeout_s:
            raise errors.Silent(part="The conductor service")
        return {"servers": [], "groups": {}}

    volume_reconcile = reconcile


def compute_turn(link: ComputeLink) -> None:
    link.heartbeat(RequestContext.system(), "host1", {})
    assert link.reconcile(RequestContext.system(), "host1", [], {}) == {"servers": [], "groups": {}}


def volume_turn(link: VolumeLink) -> None:
    link.heartbeat(RequestContext.system(), "node1", {})
    assert link.volume_reconcile(RequestContext.system(), "node1", PRESENT) == {"servers": [], "groups": {}}


@pytest.mark.parametrize(("made_by", "turn"), [(ComputeLink, compute_turn), (VolumeLink, volume_turn)])
def test_another_conductor_is_asked_after_seconds(made_by: Any, turn: Any) -> None:
    conductors = Conductors()
    link = made_by("host1", "compute", "1", lambda bus: conductors, open_bus=lambda: None)
    link._conductor = conductors
    turn(link)
    assert conductors.waited_s <= 20, "the one that answered last, then perhaps the same once more by the broker's turn"


@pytest.mark.parametrize(("made_by", "turn"), [(ComputeLink, compute_turn), (VolumeLink, volume_turn)])
def test_a_slow_answer_is_still_waited_for(made_by: Any, turn: Any) -> None:
    conductors = Conductors()
    conductors.slow_s = 50
    link = made_by("host1", "compute", "1", lambda bus: conductors, open_bus=lambda: None)
    link._conductor = conductors
    conductors._turns = iter(["two"] * 50)
    turn(link)
