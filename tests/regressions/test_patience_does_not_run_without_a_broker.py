"""Without a broker for as long as an agent is waited for, the deletion of a backup failed: no storage node was up.

No node was asked, so nothing told that it was the broker that was away. Likewise, what had begun to wait for a back end
before the outage had no patience left after it.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from unittest import mock

import pytest
import sqlalchemy as sa

from conductor.run import HandOver
from hostler import clock, errors
from hostler.db.models import Operation, VolumeNode
from tests.harness.volume_rig import VolumeRig


def test_no_node_could_report(tmp_path: Path) -> None:
    """Given an outage longer than the patience, then the backup is deleted after it."""
    rig = VolumeRig(tmp_path, **{"conductor.agent_patience": 300})
    operation_id = rig.accept("backup.delete", rig.backup(rig.volume()))
    _silent_for(rig, 100)
    calls = len(rig.nodes.calls)
    rig.nodes.faults = {calls + number: ("before", errors.BrokerSilent()) for number in range(2)}
    assert isinstance(rig.run(operation_id), HandOver)
    rig.let_pass(operation_id, patience=True)
    assert isinstance(rig.run(operation_id), HandOver)
    assert rig.one(Operation, operation_id).waiting_for == "broker"
    rig.let_pass(operation_id, patience=True)
    assert rig.finish(operation_id) == "succeeded"


def test_a_node_that_is_gone_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """Given a store whose nodes do not answer, then the deletion fails once its patience is over, and says so."""
    rig = VolumeRig(tmp_path, **{"conductor.agent_patience": 300})
    operation_id = rig.accept("backup.delete", rig.backup(rig.volume()))
    _silent_for(rig, 1000)
    rig.nodes.silent = {"node1", "node2"}
    assert isinstance(rig.run(operation_id), HandOver)
    rig.let_pass(operation_id, patience=True)
    assert rig.finish(operation_id) == "failed"
    assert "storage node" in (rig.one(Operation, operation_id).message or "")


def test_what_waited_before_has_its_patience_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a volume that waits for a back end, when the scheduler is silent for long, then it waits for one again."""
    rig = VolumeRig(tmp_path, **{"conductor.agent_patience": 300})
    operation_id = rig.accept("volume.create", rig.volume(backend=None), source=None)
    _silent_for(rig, 250)
    assert isinstance(rig.run(operation_id), HandOver)
    with monkeypatch.context() as outage:
        outage.setattr(rig.cloud.scheduler, "select_backends", mock.Mock(side_effect=errors.BrokerSilent()))
        rig.let_pass(operation_id)
        assert isinstance(rig.run(operation_id), HandOver)
    rig.let_pass(operation_id, patience=True)
    assert isinstance(rig.run(operation_id), HandOver)
    assert rig.one(Operation, operation_id).waiting_for == "backends"
    _silent_for(rig, 0)
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == "succeeded"


def _silent_for(rig: VolumeRig, seconds: int) -> None:
    at = clock.utcnow() - dt.timedelta(seconds=seconds)
    rig.db.write(lambda session: session.execute(sa.update(VolumeNode).values(last_seen_at=at)))
