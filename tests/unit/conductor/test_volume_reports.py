"""What storage nodes report, and what they are told to remove."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from conductor import progress, volume_reconcile, volume_reports
from conductor.run import HandOver
from hostler import clock, errors, ids
from hostler.db.models import Backend, Backup, Operation, Snapshot, Volume, VolumeNode, Zone
from hostler.operations import notes, states
from hostler.resources.volume import states as volume_states
from tests.harness.volume_rig import STORE, VolumeRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[VolumeRig]:
    made = VolumeRig(tmp_path)
    yield made
    made.close()


def report(*backends: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return a node's report."""
    entries = [{"name": "local", "driver": "file", "total_gib": 100.0, "free_gib": 60.0, "reserved_percent": 5,
                "over_subscription": 20.0, "capabilities": {"thin_provisioning": True}, "healthy": True,
                "unhealthy_reason": None, **backend} for backend in backends]
    return {"started_at": "2026-11-21T10:00:00.000000", "availability_zone": "ag1", "backup_store": STORE,
            "backends": entries, **values}


def node(rig: VolumeRig, name: str = "node3") -> Any:
    with rig.db.reading() as session:
        return session.scalar(sa.select(VolumeNode).where(VolumeNode.name == name))


def backend(rig: VolumeRig, name: str = "local") -> Any:
    with rig.db.reading() as session:
        return session.scalar(sa.select(Backend).where(Backend.name == name))


def test_a_new_node_is_registered_with_its_zone_and_back_ends(rig: VolumeRig) -> None:
    assert volume_reports.record_heartbeat(rig.db, "node3", report({}, {"name": "fast"}))
    with rig.db.reading() as session:
        zone = session.scalar(sa.select(Zone).where(Zone.name == "ag1"))
    assert (node(rig).zone_id, node(rig).backup_store, node(rig).enabled) == (zone.id, STORE, True)
    found = backend(rig)
    assert (found.driver, found.total_gib, found.free_gib, found.reserved_percent, found.over_subscription) == (
        "file", 100.0, 60.0, 5, 20.0)
    assert backend(rig, "fast").healthy


def test_the_zone_is_joined_once(rig: VolumeRig) -> None:
    volume_reports.record_heartbeat(rig.db, "node3", report({}))
    before = node(rig)
    volume_reports.record_heartbeat(rig.db, "node3", report({}, availability_zone="ag2"))
    after = node(rig)
    assert after.zone_id == before.zone_id
    assert after.last_seen_at > before.last_seen_at
    assert after.updated_at == before.updated_at


def test_free_space_that_moves_disturbs_no_claim_and_a_new_size_does(rig: VolumeRig) -> None:
    volume_reports.record_heartbeat(rig.db, "node3", report({}))
    volume_reports.record_heartbeat(rig.db, "node3", report({"free_gib": 59.0}))
    assert (backend(rig).free_gib, backend(rig).generation) == (59.0, 0)
    volume_reports.record_heartbeat(rig.db, "node3", report({"total_gib": 200.0}))
    assert (backend(rig).total_gib, backend(rig).generation) == (200.0, 1)


def test_an_ailing_back_end_keeps_what_is_known_of_it(rig: VolumeRig) -> None:
    volume_reports.record_heartbeat(rig.db, "node3", report({}))
    volume_reports.record_heartbeat(rig.db, "node3", report(
        {"healthy": False, "unhealthy_reason": "The disk is gone.", "total_gib": 0, "free_gib": 0, "capabilities": {}}))
    found = backend(rig)
    assert (found.healthy, found.unhealthy_reason, found.total_gib) == (False, "The disk is gone.", 100.0)
    assert found.capabilities == {"thin_provisioning": True}
    volume_reports.record_heartbeat(rig.db, "node3", report({}))
    assert (backend(rig).healthy, backend(rig).unhealthy_reason) == (True, None)


def test_a_back_end_that_is_reported_no_more_is_unhealthy(rig: VolumeRig) -> None:
    volume_reports.record_heartbeat(rig.db, "node3", report({}, {"name": "fast"}))
    volume_reports.record_heartbeat(rig.db, "node3", report({"name": "fast"}))
    assert (backend(rig).healthy, backend(rig, "fast").healthy) == (False, True)
    assert "not offer this back end any more" in backend(rig).unhealthy_reason
    volume_reports.record_heartbeat(rig.db, "node3", report({}, {"name": "fast"}))
    assert backend(rig).healthy


def test_how_a_node_reaches_others_is_kept_with_its_back_ends(rig: VolumeRig) -> None:
    volume_reports.record_heartbeat(rig.db, "node3", report({}, connector={"ip": "192.0.2.1", "tls": True}))
    assert backend(rig).capabilities["connector"] == {"ip": "192.0.2.1", "tls": True}


def test_progress_is_of_the_running_attempt_and_only_grows(rig: VolumeRig) -> None:
    operation_id = rig.accept("volume.create", rig.volume(backend=None), source=None)
    rig.nodes.faults[0] = ("before", errors.BrokerSilent())
    seen: list[int] = []
    ask = rig.nodes.create_volume

    def slow(*arguments: Any) -> Any:
        for attempt, percent, node in ((1, 30, None), (1, 20, None), (9, 90, None), (1, 40, "node9"),
                                       (1, 50, arguments[1]), (1, 250, None)):
            progress.record_progress(rig.db, operation_id, attempt, percent, agent=node)
            seen.append(rig.one(Operation, operation_id).progress)
        return ask(*arguments)

    rig.nodes.create_volume = slow  # type: ignore[method-assign]
    assert isinstance(rig.run(operation_id), HandOver)
    assert seen == [30, 30, 30, 30, 50, 99]
    assert progress.record_progress(rig.db, operation_id, 1, 99)  # nobody runs it
    for cancelled in (True, False):
        rig.db.write(lambda session, cancelled=cancelled: session.execute(  # type: ignore[misc]
            sa.update(Operation).where(Operation.id == operation_id).values(cancel_requested=cancelled)))
        assert progress.record_progress(rig.db, operation_id, 1, 99) is not cancelled
    rig.nodes.create_volume = ask  # type: ignore[method-assign]
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == states.SUCCEEDED
    assert rig.one(Operation, operation_id).progress == 100


def plan(rig: VolumeRig, which: str = "node1") -> dict[str, list[Any]]:
    return volume_reconcile.plan(rig.cloud, which, rig.nodes.inventory(which))


NOTHING: dict[str, list[Any]] = {"volumes": [], "snapshots": [], "connections": [], "backups": []}


def test_what_is_recorded_stays(rig: VolumeRig) -> None:
    volume_id = rig.volume()
    rig.snapshot(volume_id)
    rig.backup(volume_id)
    rig.attachment(volume_id, protocol="nbd")
    assert plan(rig) == NOTHING


def test_what_has_no_record_at_all_stays(rig: VolumeRig) -> None:
    stranger = ids.new_id()
    rig.nodes.volumes[("node1", "b1")] = {stranger: "somebody's data"}
    rig.nodes.snapshots[("node1", "b1")] = {ids.new_id(): stranger}
    rig.nodes.connections[("node1", "b1")] = {ids.new_id(): stranger}
    rig.nodes.backups[STORE] = {ids.new_id()}
    assert plan(rig) == NOTHING


def test_a_cloud_that_does_not_know_the_node_says_nothing(rig: VolumeRig) -> None:
    volume_id = rig.volume(deleted_at=clock.utcnow())
    present = {"backends": {"b1": {"volumes": [volume_id], "snapshots": [], "connections": {}}}, "backups": []}
    assert volume_reconcile.plan(rig.cloud, "elsewhere", present) == NOTHING


def test_what_is_deleted_goes(rig: VolumeRig) -> None:
    now, volume_id = clock.utcnow(), rig.volume()
    gone = rig.volume(deleted_at=now, state=volume_states.DELETED)
    rig.db.write(lambda session: session.execute(sa.update(Volume).where(Volume.id == gone).values(backend_id=None)))
    snapshot_id = rig.snapshot(volume_id, deleted_at=now)
    backup_id = rig.backup(volume_id, deleted_at=now)
    assert plan(rig) == {**NOTHING, "volumes": [{"backend": "b1", "id": gone}], "backups": [backup_id],
                         "snapshots": [{"backend": "b1", "id": snapshot_id, "volume_id": volume_id}]}


def test_a_connection_without_its_attachment_goes(rig: VolumeRig) -> None:
    volume_id = rig.volume()
    rig.attachment(volume_id, protocol="nbd")
    stray = ids.new_id()
    rig.nodes.connections[("node1", "b1")][stray] = volume_id
    assert plan(rig) == {**NOTHING, "connections": [
        {"backend": "b1", "volume_id": volume_id, "attachment_id": stray}]}


def test_what_an_operation_works_on_stays(rig: VolumeRig) -> None:
    volume_id = rig.volume()
    snapshot_id = rig.snapshot(volume_id, deleted_at=clock.utcnow())
    backup_id = rig.backup(volume_id, deleted_at=clock.utcnow())
    rig.nodes.connections[("node1", "b1")] = {ids.new_id(): volume_id}
    rig.accept("volume.delete", volume_id, (("snapshot", snapshot_id), ("backup", backup_id)), cascade=True)
    assert plan(rig) == NOTHING


def test_a_back_end_that_could_not_be_looked_at_is_left_alone(rig: VolumeRig) -> None:
    volume_id = rig.volume(deleted_at=clock.utcnow())
    present = rig.nodes.inventory("node1")
    present["backends"]["b1"]["error"] = "It is away."
    assert volume_reconcile.plan(rig.cloud, "node1", present) == NOTHING
    assert volume_id in present["backends"]["b1"]["volumes"]


def _left_on(rig: VolumeRig, volume_id: str, backend: str) -> None:
    """Write that an operation, which has ended, left something of the volume on `backend`."""
    operation_id = rig.add(Operation(kind="volume.migrate", resource_type="volume", resource_id=volume_id,
                                     request_id="r", state=states.SUCCEEDED))
    rig.db.write(lambda session: notes.write(session, operation_id, notes.LEFT_ON, key=rig.backends[backend]))


def test_a_copy_elsewhere_goes_only_when_an_operation_says_that_it_was_left(rig: VolumeRig) -> None:
    volume_id = rig.volume(backend="b2")
    rig.nodes.volumes[("node1", "b1")] = {volume_id: "maybe the only copy"}
    assert plan(rig) == NOTHING  # the database may be older than the volume's last move
    _left_on(rig, volume_id, "b1")
    assert plan(rig) == {**NOTHING, "volumes": [{"backend": "b1", "id": volume_id}]}


def test_a_copy_on_what_may_be_the_same_storage_stays(rig: VolumeRig) -> None:
    volume_id = rig.volume(backend="b2")
    rig.nodes.volumes[("node1", "b1")] = {volume_id: "data"}
    _left_on(rig, volume_id, "b1")
    rig.db.write(lambda session: session.execute(sa.update(Backend).values(capabilities={})))
    assert plan(rig) == NOTHING


def test_what_a_failed_creation_left_goes(rig: VolumeRig) -> None:
    volume_id = rig.volume(backend=None, state=volume_states.ERROR)
    rig.nodes.volumes[("node1", "b1")] = {volume_id: ""}
    assert plan(rig) == {**NOTHING, "volumes": [{"backend": "b1", "id": volume_id}]}


def test_the_backups_of_another_store_are_none_of_the_nodes_business(rig: VolumeRig) -> None:
    backup_id = rig.backup(rig.volume(), deleted_at=clock.utcnow(), store=ids.new_id())
    assert rig.one(Backup, backup_id).deleted_at is not None
    assert plan(rig) == NOTHING


def test_a_snapshot_whose_volume_is_elsewhere_by_now_is_still_found_deleted(rig: VolumeRig) -> None:
    volume_id = rig.volume(backend="b2")
    snapshot_id = rig.snapshot(volume_id, deleted_at=clock.utcnow())
    assert rig.one(Snapshot, snapshot_id).volume_id == volume_id
    assert plan(rig)["snapshots"] == [{"backend": "b1", "id": snapshot_id, "volume_id": volume_id}]


def test_the_snapshot_that_a_backup_was_read_from_does_not_outlive_its_making(rig: VolumeRig) -> None:
    volume_id = rig.volume()
    backup_id = rig.backup(volume_id)
    rig.nodes.snapshots[("node1", "b1")] = {backup_id: volume_id}
    operation_id = rig.accept("backup.restore", backup_id, (("volume", volume_id),), volume_id=volume_id)
    assert plan(rig) == NOTHING
    rig.finish(operation_id)
    assert plan(rig) == {**NOTHING, "snapshots": [{"backend": "b1", "id": backup_id, "volume_id": volume_id}]}
