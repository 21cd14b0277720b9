"""Agents cut off from the broker for over five minutes: what was accepted shortly before that was refused at once.

An operation that waits for silent hosts or nodes waits as long as its patience lasts, not only until the scheduler
takes them for down.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from conductor.run import HandOver, Outages
from hostler import clock
from hostler.db.models import Operation, VolumeNode
from tests.harness.volume_rig import VolumeRig


@pytest.fixture
def rig(tmp_path: Path) -> VolumeRig:
    """Two storage nodes, and a conductor that has seen no outage."""
    made = VolumeRig(tmp_path, **{"conductor.agent_patience": 300})
    made.cloud.outages = Outages(window_s=0)
    return made


def silent_for(rig: VolumeRig, seconds: int) -> None:
    at = clock.utcnow() - dt.timedelta(seconds=seconds)
    rig.db.write(lambda session: session.execute(sa.update(VolumeNode).values(last_seen_at=at)))


def waits(rig: VolumeRig, operation_id: str) -> bool:
    rig.let_pass(operation_id)
    return isinstance(rig.run(operation_id), HandOver)


def test_an_operation_that_waits_goes_on_waiting(rig: VolumeRig) -> None:
    operation_id = rig.accept("volume.create", rig.volume(backend=None), source=None)
    silent_for(rig, 290)
    assert waits(rig, operation_id)
    silent_for(rig, 310)
    assert waits(rig, operation_id)
    silent_for(rig, 0)
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == "succeeded"


def test_past_its_patience_it_fails_and_says_why(rig: VolumeRig) -> None:
    operation_id = rig.accept("volume.create", rig.volume(backend=None), source=None)
    silent_for(rig, 290)
    assert waits(rig, operation_id)
    silent_for(rig, 600)
    rig.let_pass(operation_id, patience=True)
    assert rig.finish(operation_id) == "failed"
    assert "service_up" in (rig.one(Operation, operation_id).message or "")
