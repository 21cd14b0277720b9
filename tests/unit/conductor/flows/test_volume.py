"""Every flow on volumes: what it needs and gives, and what is left when it breaks at each of its calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa

from conductor.engine.slots import Slots
from conductor.run import HandOver, Run
from hostler import errors
from hostler.db.models import Backend, Backup, Image, Operation, Snapshot, Volume, VolumeAttachment, VolumeNode
from hostler.operations import lease
from hostler.operations.accept import Target, accept_behind
from hostler.operations.kinds import volume as kinds
from hostler.operations.kinds.registry import KINDS
from hostler.resources.volume import states as volume_states
from tests.harness import flows, zombies
from tests.harness.volume_rig import STORE, Killed, Scenario, VolumeRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[VolumeRig]:
    made = VolumeRig(tmp_path)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def signed() -> Iterator[None]:
    """There are no keys here to sign upload URLs with."""
    with mock.patch("conductor.tasks.records.images.upload_url", return_value="http://control/upload"):
        yield


def create(rig: VolumeRig) -> str:
    return rig.accept("volume.create", rig.volume(backend=None), source=None)


def create_from_snapshot(rig: VolumeRig) -> str:
    source = rig.snapshot(rig.volume())
    return rig.accept("volume.create", rig.volume(backend=None, snapshot_id=source), source="snapshot")


def create_from_volume(rig: VolumeRig) -> str:
    return rig.accept("volume.create", rig.volume(backend=None, source_volume_id=rig.volume()), source="volume")


def create_from_backup(rig: VolumeRig) -> str:
    return rig.accept("volume.create", rig.volume(backend=None, backup_id=rig.backup(rig.volume())), source="backup")


def delete_volume(rig: VolumeRig) -> str:
    return rig.accept("volume.delete", rig.volume(), cascade=False)


def delete_with_snapshots(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    snapshots = [rig.snapshot(volume_id) for _ in range(2)]
    return rig.accept("volume.delete", volume_id, tuple(("snapshot", one) for one in snapshots), cascade=True)


def extend(rig: VolumeRig) -> str:
    return rig.accept("volume.extend", rig.volume(claimed_gib=5), size_gib=5)


def extend_attached_file(rig: VolumeRig) -> str:
    volume_id = rig.volume(claimed_gib=5)
    rig.attachment(volume_id, protocol="file")
    return rig.accept("volume.extend", volume_id, size_gib=5)


def extend_attached_rbd(rig: VolumeRig) -> str:
    volume_id = rig.volume(claimed_gib=5)
    rig.attachment(volume_id, protocol="rbd")
    return rig.accept("volume.extend", volume_id, size_gib=5)


def upload(rig: VolumeRig) -> str:
    image_id = rig.add(Image(name="i", project_id=rig.context.project_id, status="queued"))
    return rig.accept("volume.upload", rig.volume(), (("image", image_id),), image_id=image_id, disk_format="raw")


def retype_in_place(rig: VolumeRig) -> str:
    return rig.accept("volume.retype", rig.volume(), volume_type_id=rig.volume_type(volume_backend_name="b1"),
                      migration_policy="never", multiattach=False)


def retype_with_move(rig: VolumeRig) -> str:
    return rig.accept("volume.retype", rig.volume(), volume_type_id=rig.volume_type(volume_backend_name="b2"),
                      migration_policy="on-demand", multiattach=False)


def migrate(rig: VolumeRig) -> str:
    return rig.accept("volume.migrate", rig.volume(), backend_id=rig.backends["b2"])


def revert(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    snapshot_id = rig.snapshot(volume_id)
    return rig.accept("volume.revert", volume_id, (("snapshot", snapshot_id),), snapshot_id=snapshot_id)


def reimage(rig: VolumeRig) -> str:
    image_id = rig.add(Image(name="i", project_id=rig.context.project_id, status="active", disk_format="raw",
                             container_format="bare", sha256="0" * 64, sha512="0" * 128, md5="0" * 32, size_bytes=512,
                             virtual_size_bytes=512))
    return rig.accept("volume.reimage", rig.volume(), image_id=image_id)


def create_snapshot(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    return rig.accept("snapshot.create", rig.snapshot(volume_id, there=False), (("volume", volume_id),))


def delete_snapshot(rig: VolumeRig) -> str:
    return rig.accept("snapshot.delete", rig.snapshot(rig.volume()))


def create_backup(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    parent_id = rig.backup(volume_id)
    backup_id = rig.backup(volume_id, there=False, parent_id=parent_id)
    return rig.accept("backup.create", backup_id, (("volume", volume_id),))


def delete_backup(rig: VolumeRig) -> str:
    return rig.accept("backup.delete", rig.backup(rig.volume()))


def restore_backup(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    return rig.accept("backup.restore", rig.backup(volume_id), (("volume", volume_id),), volume_id=volume_id)


def connect(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    return rig.accept("attachment.connect", volume_id,
                      attachment_id=rig.attachment(volume_id, protocol=None, server=False))


def disconnect(rig: VolumeRig) -> str:
    volume_id = rig.volume()
    return rig.accept("attachment.delete", volume_id,
                      attachment_id=rig.attachment(volume_id, protocol="nbd", server=False))


# What each scenario asks of agents when nothing breaks.
SCENARIOS: dict[Scenario, list[str]] = {
    create: ["create_volume"],
    create_from_snapshot: ["create_volume"],
    create_from_volume: ["create_volume"],
    create_from_backup: ["create_volume"],
    delete_volume: ["delete_volume"],
    delete_with_snapshots: ["delete_snapshot", "delete_snapshot", "delete_volume"],
    extend: ["extend_volume"],
    extend_attached_file: ["resize_volume"],
    extend_attached_rbd: ["extend_volume", "resize_volume"],
    upload: ["upload_volume"],
    retype_in_place: [],
    retype_with_move: ["delete_volume", "connect_volume", "connect_volume", "create_volume", "disconnect_volume",
                       "delete_volume"],
    migrate: ["delete_volume", "connect_volume", "connect_volume", "create_volume", "disconnect_volume",
              "delete_volume"],
    revert: ["revert_volume"],
    reimage: ["reimage_volume"],
    create_snapshot: ["create_snapshot"],
    delete_snapshot: ["delete_snapshot"],
    create_backup: ["create_backup"],
    delete_backup: ["delete_backup"],
    restore_backup: ["restore_backup"],
    connect: ["connect_volume"],
    disconnect: ["disconnect_volume"],
}
# Scenario → the state of the volume after an agent's refusal, where that is not READY.
AFTER_A_REFUSAL = {
    delete_volume: volume_states.ERROR_DELETING, delete_with_snapshots: volume_states.ERROR_DELETING,
    extend: volume_states.ERROR_EXTENDING, extend_attached_file: volume_states.ERROR_EXTENDING,
    extend_attached_rbd: volume_states.ERROR_EXTENDING, revert: volume_states.ERROR,
    reimage: volume_states.ERROR,
    restore_backup: volume_states.ERROR_RESTORING,
    create_from_snapshot: volume_states.ERROR, create_from_volume: volume_states.ERROR,
}
# Past the switch a move has succeeded, whatever cannot be removed; a plain creation finds another back end.
_MOVES = (retype_with_move, migrate)
SUCCEED_ANYWAY = {(create, 0), (create_from_backup, 0), *((move, step) for move in _MOVES for step in (4, 5))}


def volume_of(rig: VolumeRig, operation_id: str) -> Any:
    """Return the volume that an operation is about."""
    operation = rig.one(Operation, operation_id)
    model = {"snapshot": Snapshot, "backup": Backup}.get(operation.resource_type)
    identity = operation.resource_id if model is None else rig.one(model, operation.resource_id).volume_id
    return rig.one(Volume, identity)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_it_works_asks_no_more_than_it_must_and_leaves_nothing_behind(rig: VolumeRig, scenario: Scenario) -> None:
    operation_id = scenario(rig)
    assert rig.finish(operation_id) == "succeeded"
    assert rig.nodes.calls == SCENARIOS[scenario]
    volume = volume_of(rig, operation_id)
    if scenario in (delete_volume, delete_with_snapshots):
        assert (volume.state, volume.backend_id) == (volume_states.DELETED, None)
        assert volume.deleted_at is not None
    else:
        assert (volume.state, volume.fault) == (volume_states.READY, None)
        assert volume.size_gib == volume.claimed_gib == rig.nodes.sizes[volume.id]
    rig.check()


STEPS = [(scenario, step) for scenario, calls in SCENARIOS.items() for step in range(len(calls))]


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("scenario", "step"), STEPS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_conductor_killed_at_any_call_is_followed_by_one_that_completes_it(
        rig: VolumeRig, scenario: Scenario, step: int, when: str) -> None:
    operation_id = scenario(rig)
    rig.nodes.faults[step] = (when, Killed())
    assert rig.finish(operation_id) == "succeeded"
    assert volume_of(rig, operation_id).state in (volume_states.READY, volume_states.DELETED)
    rig.check()


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("scenario", "step"), STEPS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_an_agent_that_refuses_at_any_call_leaves_records_and_storage_alike(
        rig: VolumeRig, scenario: Scenario, step: int, when: str) -> None:
    operation_id = scenario(rig)
    rig.nodes.faults[step] = (when, errors.AgentError(reason="The disk is broken."))
    if (scenario, step) in SUCCEED_ANYWAY or (scenario is upload and when == "after"):  # the image has it all
        assert rig.finish(operation_id) == "succeeded"
    else:
        assert rig.finish(operation_id) == "failed"
        assert rig.one(Operation, operation_id).message.startswith("The disk is broken.")
        volume = volume_of(rig, operation_id)
        assert volume.state == AFTER_A_REFUSAL.get(scenario, volume_states.READY)
        if scenario in AFTER_A_REFUSAL:
            assert "The disk is broken." in volume.fault["message"]
    if scenario not in (delete_volume, delete_with_snapshots, delete_snapshot, delete_backup, disconnect):
        rig.reconcile()
        rig.check()


@pytest.mark.long
@pytest.mark.parametrize(("scenario", "step"), STEPS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_a_flow_whose_conductor_always_dies_there_ends_and_what_is_left_is_cleaned_up(
        rig: VolumeRig, scenario: Scenario, step: int) -> None:
    operation_id = scenario(rig)
    for number in range(step, step + rig.conf.conductor.max_attempts + lease.ALONE_LIMIT):
        rig.nodes.faults[number] = ("after", Killed())
    # Calls are numbered from the first try: a resumed flow asks the broken one first again.
    state = rig.finish(operation_id)
    rig.reconcile()
    if state == "failed" and scenario in (delete_volume, delete_with_snapshots, delete_snapshot, delete_backup,
                                          disconnect):
        return  # what is gone is gone, and the record waits to be deleted again
    rig.check()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.split(".")[0] != "server"])
def test_every_flow_provides_what_it_requires(kind: str) -> None:
    assert flows.build(kind, flows.sample(kind)).requires <= flows.argument_names(kind)


def test_create_provides_what_its_end_writes() -> None:
    provided = {kind: set(flows.build(kind, flows.sample(kind)).provides) for kind in KINDS if kind[:7] != "server."}
    assert {"choice", "made"} <= provided["volume.create"]
    assert "extended" in provided["volume.extend"]
    assert {"choice", "moved"} <= provided["volume.retype"] == provided["volume.migrate"]
    assert "reverted" in provided["volume.revert"]
    assert "reimaged" in provided["volume.reimage"]
    assert "made" in provided["snapshot.create"]
    assert {"store", "made"} <= provided["backup.create"]
    assert "restored" in provided["backup.restore"]


def test_a_creation_tries_three_back_ends_and_names_what_failed(rig: VolumeRig) -> None:
    operation_id = create(rig)
    for step in (0, 2):
        rig.nodes.faults[step] = ("before", errors.AgentError(reason="The disk is broken."))
    assert rig.finish(operation_id) == "failed"
    assert rig.nodes.calls == ["create_volume", "delete_volume"] * 2
    volume = volume_of(rig, operation_id)
    assert (volume.state, volume.backend_id) == (volume_states.ERROR, None)
    assert volume.fault["message"].startswith("The disk is broken. (No other back end could take the volume: ")
    assert "excluded_backends removed 2 of 2" in volume.fault["message"]
    assert rig.used() == {"b1": 0, "b2": 0}
    rig.check()


def test_a_volume_too_large_for_every_back_end_says_what_the_filters_removed(rig: VolumeRig) -> None:
    volume_id = rig.volume(backend=None, size_gib=200, claimed_gib=200)
    rig.finish(rig.accept("volume.create", volume_id, source=None))
    assert rig.one(Volume, volume_id).fault["message"] == "No valid backend was found. (capacity removed 2 of 2)"
    assert rig.nodes.calls == []


def test_a_volume_from_a_snapshot_is_made_where_the_snapshot_is(rig: VolumeRig) -> None:
    for _ in range(5):
        volume = volume_of(rig, operation_id := create_from_snapshot(rig))
        assert rig.finish(operation_id) == "succeeded"
        assert rig.one(Volume, volume.id).backend_id == rig.backends["b1"]
        assert rig.nodes.volumes[("node1", "b1")][volume.id] == f"snapshot {volume.snapshot_id}"


def test_a_silent_node_is_waited_for(rig: VolumeRig) -> None:
    operation_id = create_from_volume(rig)
    rig.nodes.silent = {"node1"}
    stop = rig.run(operation_id)
    assert isinstance(stop, HandOver)
    operation = rig.one(Operation, operation_id)
    assert (operation.state, operation.host, operation.waiting_for) == (
        "pending", "volume@node1/copies", "volume@node1/copies")
    assert volume_of(rig, operation_id).state == volume_states.CREATING
    rig.nodes.silent.clear()
    rig.let_pass(operation_id)
    assert rig.finish(operation_id) == "succeeded"
    rig.check()


def test_a_node_silent_past_patience_fails_the_creation_and_cleans_up_when_it_returns(rig: VolumeRig) -> None:
    operation_id = create_from_volume(rig)
    rig.nodes.faults[0] = ("after", errors.Silent(part="The volume service on node1"))
    rig.run(operation_id)
    rig.nodes.silent = {"node1"}
    rig.let_pass(operation_id, patience=True)
    assert rig.finish(operation_id) == "failed"
    volume = volume_of(rig, operation_id)
    assert volume.state == volume_states.ERROR
    assert volume.fault["message"] == "The storage node does not answer."
    assert volume.fault["details"].startswith("Storage node node1 did not answer for 1 s.")
    assert volume.id in rig.nodes.volumes[("node1", "b1")]
    rig.reconcile()
    rig.check()


def test_a_node_silent_past_patience_fails_a_deletion_whose_data_is_not_forgotten(rig: VolumeRig) -> None:
    operation_id = delete_volume(rig)
    rig.nodes.silent = {"node1"}
    rig.run(operation_id)
    rig.let_pass(operation_id, patience=True)
    assert rig.finish(operation_id) == "failed"
    volume = volume_of(rig, operation_id)
    assert (volume.state, volume.deleted_at) == (volume_states.ERROR_DELETING, None)
    assert rig.used()["b1"] == 2
    rig.nodes.silent.clear()
    rig.reconcile()
    assert volume.id in rig.nodes.volumes[("node1", "b1")]
    assert rig.finish(rig.accept("volume.delete", volume.id, cascade=False)) == "succeeded"
    rig.check()


def test_a_deletion_waits_for_a_node_that_starts_again_when_a_creation_has_given_up(rig: VolumeRig) -> None:
    rig.conf.set_override("agent_patience", 300, "conductor")
    creation, deletion = create_from_volume(rig), delete_volume(rig)
    rig.nodes.silent = {"node1"}
    for operation_id in (creation, deletion):
        rig.run(operation_id)
        rig.let_pass(operation_id, silent_s=600)  # as long as the machine takes
    assert rig.finish(creation) == "failed"
    rig.run(deletion)
    assert volume_of(rig, deletion).state == volume_states.READY
    rig.nodes.silent.clear()
    rig.let_pass(deletion)
    assert rig.finish(deletion) == "succeeded"
    assert volume_of(rig, deletion).deleted_at is not None


def test_a_volume_in_error_that_is_nowhere_is_deleted_without_asking_anybody(rig: VolumeRig) -> None:
    volume_id = rig.volume(backend=None, state=volume_states.ERROR)
    assert rig.finish(rig.accept("volume.delete", volume_id, cascade=False)) == "succeeded"
    assert rig.nodes.calls == []
    rig.check()


def test_a_deletion_stops_a_creation_and_waits_for_its_lock(rig: VolumeRig) -> None:
    creation = create(rig)
    volume_id = rig.one(Operation, creation).resource_id
    rig.nodes.faults[0] = ("after", Killed())
    with pytest.raises(Killed):
        rig.run(creation)
    deletion = rig.db.write(lambda session: accept_behind(
        session, rig.context, kinds.DELETE, Target("volume", volume_id), kinds.DeleteVolume(cascade=False)).id)
    rig.let_pass(creation)
    assert rig.finish(creation) == "failed"
    volume = rig.one(Volume, volume_id)
    assert (volume.state, volume.fault, volume.backend_id) == (volume_states.CREATING, None, None)
    rig.let_pass(deletion)
    assert rig.finish(deletion) == "succeeded"
    assert rig.used() == {"b1": 0, "b2": 0}
    rig.check()


def test_an_extension_that_fails_gives_its_claim_back(rig: VolumeRig) -> None:
    operation_id = extend(rig)
    assert rig.used()["b1"] == 5
    rig.nodes.faults[0] = ("before", errors.AgentError(reason="No."))
    rig.finish(operation_id)
    assert rig.used()["b1"] == 2
    assert volume_of(rig, operation_id).size_gib == 2


def test_an_extension_that_nobody_tried_leaves_the_volume_as_it_was(rig: VolumeRig) -> None:
    operation_id = extend(rig)
    rig.nodes.silent = {"node1"}
    rig.run(operation_id)
    rig.let_pass(operation_id, patience=True)
    rig.finish(operation_id)
    volume = volume_of(rig, operation_id)
    assert (volume.state, volume.claimed_gib) == (volume_states.READY, 2)


def test_an_upload_that_fails_kills_its_image(rig: VolumeRig) -> None:
    operation_id = upload(rig)
    rig.nodes.faults[0] = ("before", errors.AgentError(reason="No."))
    rig.finish(operation_id)
    assert rig.one(Image, rig.one(Operation, operation_id).arguments["image_id"]).status == "killed"


def test_an_upload_that_was_complete_when_its_conductor_died_is_not_sent_again(rig: VolumeRig) -> None:
    operation_id = upload(rig)
    rig.nodes.faults[0] = ("after", Killed())
    assert rig.finish(operation_id) == "succeeded"
    assert rig.nodes.calls == ["upload_volume"]


def test_a_retype_that_fits_moves_nothing_and_one_that_does_not_is_refused_unless_it_may_move(rig: VolumeRig) -> None:
    operation_id = retype_in_place(rig)
    rig.finish(operation_id)
    assert volume_of(rig, operation_id).volume_type_id == rig.one(Operation, operation_id).arguments["volume_type_id"]
    refused = rig.accept("volume.retype", rig.volume(), volume_type_id=rig.volume_type(volume_backend_name="b2"),
                         migration_policy="never", multiattach=False)
    assert rig.finish(refused) == "failed"
    volume = volume_of(rig, refused)
    assert (volume.state, volume.volume_type_id) == (volume_states.READY, None)
    assert "No valid backend was found." in volume.fault["message"]
    rig.check()


@pytest.mark.parametrize("scenario", _MOVES, ids=lambda one: one.__name__)
def test_a_moved_volume_keeps_its_content_and_claims_one_place(rig: VolumeRig, scenario: Scenario) -> None:
    operation_id = scenario(rig)
    assert rig.finish(operation_id) == "succeeded"
    volume = volume_of(rig, operation_id)
    assert volume.backend_id == rig.backends["b2"]
    assert rig.nodes.volumes[("node2", "b2")][volume.id] == "data"
    assert rig.used() == {"b1": 0, "b2": 2}
    assert volume.provider == {"made_by": "node2"}


def test_a_retype_makes_a_volume_multi_attachable_where_that_is_possible(rig: VolumeRig) -> None:
    wanted = {"volume_type_id": rig.volume_type(multiattach="<is> True"), "multiattach": True}
    refused = rig.accept("volume.retype", rig.volume(), migration_policy="on-demand", **wanted)
    assert rig.finish(refused) == "failed"
    assert volume_of(rig, refused).multiattach is False
    rig.db.write(lambda session: session.execute(sa.update(Backend).where(Backend.name == "b2").values(
        capabilities={"storage_id": "s2", "multiattach": True})))
    moved = rig.accept("volume.retype", rig.volume(), migration_policy="on-demand", **wanted)
    assert rig.finish(moved) == "succeeded"
    volume = volume_of(rig, moved)
    assert (volume.multiattach, volume.backend_id) == (True, rig.backends["b2"])


def test_a_move_whose_source_falls_silent_leaves_it_to_be_removed_later(rig: VolumeRig) -> None:
    operation_id = migrate(rig)
    rig.nodes.faults[3] = ("after", Killed())  # copied
    with pytest.raises(Killed):
        rig.run(operation_id)
    rig.let_pass(operation_id)
    rig.nodes.faults = {number: ("before", errors.Silent(part="The volume service on node1"))
                        for number in range(6, 12)}
    for _ in range(4):
        rig.run(operation_id)
        if rig.one(Operation, operation_id).state == "succeeded":
            break
        rig.let_pass(operation_id, patience=True)
    volume = volume_of(rig, operation_id)
    assert (volume.backend_id, volume.target_backend_id) == (rig.backends["b2"], None)
    assert rig.nodes.volumes[("node1", "b1")][volume.id] == "data"
    rig.reconcile()
    rig.check()


def test_a_move_back_does_not_take_an_old_copy_for_the_volume(rig: VolumeRig) -> None:
    volume_id = rig.volume()
    rig.nodes.volumes[("node2", "b2")] = {volume_id: "an older copy"}
    rig.finish(rig.accept("volume.migrate", volume_id, backend_id=rig.backends["b2"]))
    assert rig.nodes.volumes[("node2", "b2")] == {volume_id: "data"}


def test_a_move_to_the_same_storage_under_another_name_is_refused(rig: VolumeRig) -> None:
    def share(session: Any) -> None:
        for row in session.scalars(sa.select(Backend)).all():
            row.capabilities = {**row.capabilities, "storage_id": "one and the same"}

    rig.db.write(share)
    operation_id = migrate(rig)
    assert rig.finish(operation_id) == "failed"
    assert "other_storage removed 1 of 1" in volume_of(rig, operation_id).fault["message"]
    assert rig.nodes.calls == []


@pytest.mark.parametrize("obstacle", ["snapshot", "attachment"])
def test_a_volume_with_snapshots_or_attachments_does_not_move(rig: VolumeRig, obstacle: str) -> None:
    operation_id = migrate(rig)
    volume_id = rig.one(Operation, operation_id).resource_id
    if obstacle == "snapshot":
        rig.snapshot(volume_id)
    else:
        rig.attachment(volume_id, protocol="nbd")
    assert rig.finish(operation_id) == "failed"
    assert "cannot move to another back end" in rig.one(Operation, operation_id).message
    rig.check()


def test_a_backup_knows_its_store_and_its_moment(rig: VolumeRig) -> None:
    operation_id = create_backup(rig)
    rig.finish(operation_id)
    backup = rig.one(Backup, rig.one(Operation, operation_id).resource_id)
    assert (backup.state, backup.store, backup.node, backup.zone) == (volume_states.READY, STORE, "node1", "nova")
    assert (backup.stored_bytes, backup.object_count) == (512, 3)
    assert backup.data_at is not None


def test_a_backup_is_deleted_by_any_node_of_its_store(rig: VolumeRig) -> None:
    operation_id = delete_backup(rig)

    def quiet(session: Any) -> None:
        row = session.scalars(sa.select(VolumeNode).where(VolumeNode.name == "node1")).one()
        row.last_seen_at = row.last_seen_at.replace(year=2000)

    rig.db.write(quiet)
    rig.nodes.silent = {"node1"}
    assert rig.finish(operation_id) == "succeeded"
    rig.check()


def test_a_connection_is_kept_in_its_attachment_and_nowhere_else(rig: VolumeRig) -> None:
    operation_id = connect(rig)
    rig.finish(operation_id)
    attachment = rig.one(VolumeAttachment, rig.one(Operation, operation_id).arguments["attachment_id"])
    assert attachment.connection["protocol"] == "nbd"
    assert attachment.state == volume_states.RESERVED


def test_copies_at_a_node_leave_places_for_what_is_short(rig: VolumeRig) -> None:
    held = lease.claim(rig.db, create_from_volume(rig), "tester", 30)
    assert held is not None
    slots = Slots(limit=1)
    assert slots.enter("another copy", "volume@node1/copies")
    run = Run(rig.cloud, held, kinds.CREATE, slots)
    with pytest.raises(HandOver, match="node1/copies is busy"):
        run.ask_node_to_copy("node1", lambda _context, _node: None)
    assert run.ask_node("node1", lambda context, _node: context.attempt) == 1


@pytest.mark.long
@pytest.mark.parametrize("writes", zombies.VOLUME_WRITES, ids=str)
def test_a_conductor_that_wakes_up_before_a_write_changes_nothing(
        tmp_path_factory: pytest.TempPathFactory, writes: zombies.Writes) -> None:
    def make() -> VolumeRig:
        return VolumeRig(tmp_path_factory.mktemp("rig"))

    [scenario] = (one for one in SCENARIOS if one.__name__ == writes.scenario)
    assert zombies.tried_writes(make, scenario, faults=writes.faults) == writes.writers


def test_without_the_fence_it_would_say_where_the_data_is(rig: VolumeRig) -> None:
    operation_id = retype_with_move(rig)
    with pytest.raises(AssertionError, match=r"SwitchRecord\.execute changed something"):
        zombies.run_without_fence(rig, operation_id, 0)
