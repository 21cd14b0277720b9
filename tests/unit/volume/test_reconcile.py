"""Reconciliation: what the conductors call unwanted goes, and nothing else ever."""

from __future__ import annotations

from typing import Any

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import BackupSpec, ConnectorSpec
from tests.harness.contexts import attempt_of
from tests.harness.volume_agents import CTX, NODE, Agent, new_snapshot
from volume.copy_snapshots import CopySnapshots
from volume.reconcile import Reconciler


@pytest.fixture
def reconciler(agent: Agent) -> Reconciler:
    return agent.service.reconciler


def test_what_nobody_knows_is_removed(agent: Agent, reconciler: Reconciler) -> None:
    kept, lost, exported = agent.create(), agent.create(), agent.create("blue")
    snapshot, attachment = new_snapshot(lost), ids.new_id()
    backup = BackupSpec(id=ids.new_id(), store="s", volume_id=kept.id, size_gib=1)
    agent.api.create_snapshot(attempt_of(ids.new_id()), NODE, snapshot, lost)
    agent.api.connect_volume(attempt_of(ids.new_id()), NODE, exported, attachment, ConnectorSpec(host="h"), False)
    agent.api.create_backup(attempt_of(ids.new_id()), NODE, backup, kept, None)
    agent.conductor.verdict = lambda present: {
        "volumes": [{"backend": "red", "id": lost.id}],
        "snapshots": [{"backend": "red", "id": snapshot.id, "volume_id": lost.id}],
        "connections": [{"backend": "blue", "volume_id": exported.id, "attachment_id": attachment}],
        "backups": [backup.id]}
    reconciler.run()
    said = agent.conductor.present[-1]
    assert said["backends"]["red"]["volumes"] == sorted([kept.id, lost.id])
    assert said["backends"]["blue"]["connections"] == {attachment: exported.id}
    assert said["backups"] == [backup.id]
    after = agent.api.get_inventory(CTX, NODE)
    assert after["backends"]["red"] == {"volumes": [kept.id], "snapshots": [], "connections": {}, "error": None}
    assert after["backends"]["blue"]["volumes"] == [exported.id]
    assert after["backends"]["blue"]["connections"] == {} and after["backups"] == []


def test_silence_removes_nothing(agent: Agent, reconciler: Reconciler) -> None:
    volume = agent.create()
    agent.conductor.silent = True
    with pytest.raises(errors.Silent):
        reconciler.run()
    assert agent.fake().find().volumes == (volume.id,)


def test_what_somebody_touched_since_the_look_is_left(agent: Agent, reconciler: Reconciler) -> None:
    volume = agent.create()

    def answer(present: dict[str, Any]) -> dict[str, Any]:
        agent.api.extend_volume(attempt_of(ids.new_id()), NODE, volume, 2)
        return {"volumes": [{"backend": "red", "id": volume.id}]}

    agent.conductor.verdict = answer
    reconciler.run()
    assert agent.fake().find().volumes == (volume.id,)
    agent.conductor.verdict = lambda present: {"volumes": [{"backend": "red", "id": volume.id}]}
    reconciler.run()
    assert agent.fake().find().volumes == ()


def test_one_that_cannot_be_removed_keeps_no_other(agent: Agent, reconciler: Reconciler) -> None:
    stubborn, other = agent.create(), agent.create()
    agent.api.create_snapshot(attempt_of(ids.new_id()), NODE, new_snapshot(stubborn), stubborn)
    agent.conductor.verdict = lambda present: {"volumes": [
        {"backend": "green", "id": ids.new_id()}, {"backend": "red", "id": stubborn.id},
        {"backend": "red", "id": other.id}]}
    reconciler.run()
    assert agent.fake().find().volumes == (stubborn.id,)


def test_a_back_end_that_is_away_is_told_as_such(agent: Agent, reconciler: Reconciler) -> None:
    agent.create()
    agent.fake().healthy = False
    reconciler.run()
    red = agent.conductor.present[-1]["backends"]["red"]
    assert red["volumes"] == [] and red["error"] == "The fake back end was told to be away."


def test_a_momentary_snapshot_of_a_killed_agent_goes(agent: Agent, reconciler: Reconciler) -> None:
    volume = agent.create()
    copy_snapshots = CopySnapshots(agent.home / "volume" / "momentary")
    with copy_snapshots.taken(agent.fake(), volume, ids.new_id()) as taken:
        assert agent.fake().find().snapshots and not agent.api.get_inventory(CTX, NODE)["backends"]["red"]["snapshots"]
        note, = (agent.home / "volume" / "momentary").iterdir()
        kept = note.read_bytes()
    note.write_bytes(kept)
    agent.fake().create_snapshot(taken, volume, lambda _percent: None)
    agent.conductor.silent = True  # no conductor is needed for it
    with pytest.raises(errors.Silent):
        reconciler.run()
    assert agent.fake().find().snapshots == () and not note.exists()
