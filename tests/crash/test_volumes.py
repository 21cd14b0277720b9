"""Kill -9 around every step of every flow on volumes, snapshots and backups.

Whatever dies wherever: without an operator the change takes place, no volume stays in a half state, no file is without
a record and no record without its file, and quota is what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from hostler.context import RequestContext
from hostler.db.models import Operation, Volume
from hostler.operations import doctor
from hostler.resources.volume import states as volume_states
from tests.harness import backends
from tests.harness.crash_campaign import (
    BACKENDS,
    Campaign,
    Point,
    api_points,
    conductor_points,
    scheduler_points,
    volume_points,
)
from tests.harness.volume_scene import HERE, THERE, V3, VolumeScene

pytestmark = [pytest.mark.timeout(1500)]


def _conductor(*names: str) -> list[Point]:
    return [Point("conductor", name) for name in names]


def _around(*names: str) -> list[Point]:
    return _conductor(*(f"{name}:{side}" for name in names for side in ("before", "after")))


CREATE = [*conductor_points(["SelectBackend", "CreateVolume"], ["select_backends", "create_volume"]), *api_points(),
          *scheduler_points("select_backends"),
          *volume_points("agent.create_volume.begin", "agent.create_volume.fetched", "volume.create_volume:middle",
                         "volume.create_volume:after", "agent.create_volume.end")]
# Where the content comes from changes what the node does, and little else.
FILLED = {
    "nothing": [*_conductor("rpc.create_volume:after"), *volume_points("volume.create_volume:middle")],
    "snapshot": [*_conductor("rpc.create_volume:before"),
                 *volume_points("volume.clone_snapshot:middle", "volume.clone_snapshot:after")],
    "volume": [*_conductor("CreateVolume:after"),
               *volume_points("volume.clone_volume:middle", "volume.clone_volume:after")],
    "backup": [*_conductor("CreateVolume:before"),
               *volume_points("agent.create_volume.fetched", "volume.create_volume:middle",
                              "volume.create_volume:after")],
}
REVERT = [*_around("revert.CreateVolume", "revert.SelectBackend", "rpc.delete_volume"),
          *_conductor("finish:before", "finish:after"),
          *volume_points("agent.delete_volume.begin", "volume.delete_volume:before", "volume.delete_volume:after",
                         "agent.delete_volume.end")]
DELETE = [*conductor_points(["DeleteVolume"], ["delete_volume"]), *api_points(),
          *volume_points("agent.delete_volume.begin", "volume.delete_volume:before", "volume.delete_volume:after",
                         "agent.delete_volume.end")]
CASCADE = [*_around("DeleteSnapshots", "rpc.delete_snapshot"),
           *volume_points("volume.delete_snapshot:after", "volume.delete_volume:before")]
EXTEND = [*conductor_points(["ExtendOnNode", "ExtendOnHosts"], ["extend_volume"]), *api_points(wake=False),
          *volume_points("agent.extend_volume.begin", "volume.extend_volume:before", "volume.extend_volume:after",
                         "agent.extend_volume.end")]
UPLOAD = [*conductor_points(["UploadVolume"], ["upload_volume"]), *api_points(wake=False),
          *volume_points("agent.upload_volume.begin", "agent.upload_volume.converted", "agent.upload_volume.end")]
REVERT_TO = [*_around("RevertVolume", "rpc.revert_volume"), *_conductor("finish:before"),
             *volume_points("agent.revert_volume.begin", "volume.revert_to_snapshot:before",
                            "volume.revert_to_snapshot:after")]
MOVE_TASKS = ("ChooseTarget", "ClearTarget", "ConnectSource", "CopyVolume", "SwitchRecord", "DisconnectSource",
              "RemoveSource")
# From node1 to node2.
RETYPE = [*conductor_points(MOVE_TASKS, ["connect_volume", "create_volume", "disconnect_volume"]),
          *api_points(wake=False),
          *_conductor("rpc.select_backends:after", "rpc.delete_volume:after"), *scheduler_points("select_backends"),
          *volume_points("volume.connect:before", "volume.connect:after", "volume.disconnect:before",
                         "volume.disconnect:after", "volume.delete_volume:before", "volume.delete_volume:after"),
          *volume_points("agent.create_volume.begin", "volume.create_volume:middle", "volume.create_volume:after",
                         node="node2")]
MIGRATE = [*_conductor("ConnectSource:after", "CopyVolume:after", "SwitchRecord:after", "RemoveSource:before",
                       "RemoveSource:after", "finish:before", "finish:after"),
           *api_points(wake=False)]
SNAPSHOT = [*conductor_points(["CreateSnapshot"], ["create_snapshot"]), *api_points(wake=False),
            *volume_points("agent.create_snapshot.begin", "volume.create_snapshot:before",
                           "volume.create_snapshot:after", "agent.create_snapshot.end")]
SNAPSHOT_DELETE = [*conductor_points(["DeleteSnapshot"], ["delete_snapshot"]),
                   *volume_points("volume.delete_snapshot:before", "volume.delete_snapshot:after")]
BACKUP = [*conductor_points(["AssignStore", "CreateBackup"], ["create_backup"]), *api_points(wake=False),
          *volume_points("agent.create_backup.begin", "agent.create_backup.read", "agent.create_backup.end")]
BACKUP_DELETE = [*_around("DeleteBackup", "rpc.delete_backup"), *_conductor("finish:before"),
                 *volume_points("agent.delete_backup.begin", "agent.delete_backup.end")]
RESTORE = [*conductor_points(["RestoreBackup"], ["restore_backup"]), *api_points(wake=False),
           *volume_points("agent.restore_backup.begin", "agent.restore_backup.write",
                          "volume.overwrite_volume:before", "volume.overwrite_volume:after",
                          "agent.restore_backup.end")]
DOCTOR = conductor_points(["ExamineCloud"], ["get_inventory"])
ALL = [CREATE, *FILLED.values(), REVERT, DELETE, CASCADE, EXTEND, UPLOAD, REVERT_TO, RETYPE, MIGRATE, SNAPSHOT,
       SNAPSHOT_DELETE, BACKUP, BACKUP_DELETE, RESTORE, DOCTOR]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VolumeScene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), volumes=True)
    try:
        yield VolumeScene(made, made.start())
    finally:
        made.stop()


def each(points: Sequence[Point]) -> pytest.MarkDecorator:
    """Run a test for each point."""
    return pytest.mark.parametrize("point", points, ids=str)


@pytest.mark.contract("V-FLOW")
@each(CREATE)
def test_create_from_an_image_survives(scene: VolumeScene, point: Point) -> None:
    before = scene.sizes()
    volume = scene.create(point, "volume", size=2, imageRef=scene.image_id, volume_type=HERE)
    scene.wait("volume", volume, "available")
    scene.campaign.wait_rest()
    assert scene.sizes() == {**before, "volumes": before["volumes"] + 1, "gigabytes": before["gigabytes"] + 2}
    scene.remove("volume", volume)
    assert scene.sizes() == before


@pytest.mark.contract("V-FLOW")
@pytest.mark.parametrize(("source", "point"), [(source, point) for source, points in FILLED.items()
                                               for point in points], ids=str)
def test_create_from_elsewhere_survives(scene: VolumeScene, source: str, point: Point) -> None:
    origin = scene.make("volume")
    made = scene.make(source, volume_id=origin) if source in ("snapshot", "backup") else origin
    named: dict[str, Any] = {"volume": {"source_volid": made}, "nothing": {}}.get(source, {f"{source}_id": made})
    if source in ("nothing", "backup"):
        named["volume_type"] = HERE
    volume = scene.create(point, "volume", size=2, **named)
    scene.wait("volume", volume, "available")
    scene.campaign.wait_rest()
    scene.remove("volume", volume)
    if made != origin:
        scene.remove(source, made)
    scene.remove("volume", origin)


@each(REVERT)
def test_revert_of_a_failed_creation_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.create(point, "volume", size=1, volume_type=HERE,
                          failing=Point("node1", "volume.create_volume:middle"))
    found = scene.wait("volume", volume, "error")
    assert found is not None
    scene.campaign.disarm()
    scene.campaign.wait_rest()
    scene.remove("volume", volume)
    scene.campaign.wait_rest()


@each(DELETE)
def test_delete_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    scene.survive(point, lambda: scene.client.delete(f"{V3}/volumes/{volume}"))
    scene.wait("volume", volume, None)
    scene.campaign.wait_rest()


@each(CASCADE)
def test_cascading_delete_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    snapshots = [scene.make("snapshot", volume_id=volume) for _ in range(2)]
    scene.survive(point, lambda: scene.client.delete(f"{V3}/volumes/{volume}?cascade=true"))
    for noun, key in (("volume", volume), *(("snapshot", snapshot) for snapshot in snapshots)):
        scene.wait(noun, key, None)
    scene.campaign.wait_rest()


@each(EXTEND)
def test_extend_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    scene.survive(point, lambda: scene.act(volume, {"os-extend": {"new_size": 3}}))
    scene.campaign.wait_rest()
    found = scene.wait("volume", volume, "available")
    assert found is not None
    assert found["size"] == 3
    scene.remove("volume", volume)


@each(UPLOAD)
def test_upload_survives(scene: VolumeScene, point: Point) -> None:
    volume, name = scene.make("volume"), scene.name("image")
    scene.survive(point, lambda: scene.act(volume, {"os-volume_upload_image": {
        "image_name": name, "disk_format": "qcow2", "container_format": "bare"}}))
    scene.campaign.wait_rest()
    scene.wait("volume", volume, "available")
    images = scene.client.get(f"/image/v2/images?name={name}").json()["images"]
    # The api that died after its commit was asked again, which is another upload.
    assert {image["status"] for image in images} == {"active"}
    assert len(images) <= 2
    for image in images:
        scene.client.delete(f"/image/v2/images/{image['id']}").raise_for_status()
    scene.remove("volume", volume)


@each(REVERT_TO)
def test_revert_to_a_snapshot_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    snapshot = scene.make("snapshot", volume_id=volume)
    scene.survive(point, lambda: scene.act(volume, {"revert": {"snapshot_id": snapshot}}))
    scene.campaign.wait_rest()
    scene.wait("volume", volume, "available")
    scene.remove("snapshot", snapshot)
    scene.remove("volume", volume)


@each(RETYPE)
def test_retype_that_moves_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    scene.survive(point, lambda: scene.act(volume, {"os-retype": {
        "new_type": THERE, "migration_policy": "on-demand"}}))
    _look_and_remove(scene, volume, "node2@other#other")


@each(MIGRATE)
def test_migrate_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume", volume_type=None)
    here = str((scene.show("volume", volume) or {})["os-vol-host-attr:host"])
    places = [f"{node}@{backend}#{backend}" for node, backend in BACKENDS.items()]
    target = next(place for place in places if place != here)
    scene.survive(point, lambda: scene.act(volume, {"os-migrate_volume": {"host": target}}))
    found = _look_and_remove(scene, volume, target)
    assert found["migration_status"] == "success"


def _look_and_remove(scene: VolumeScene, volume: str, place: str) -> dict[str, Any]:
    scene.campaign.wait_rest()
    found = scene.wait("volume", volume, "available")
    assert found is not None
    assert found["os-vol-host-attr:host"] == place
    scene.remove("volume", volume)
    scene.campaign.wait_rest()
    return found


@each(SNAPSHOT)
def test_snapshot_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    snapshot = scene.create(point, "snapshot", volume_id=volume)
    scene.wait("snapshot", snapshot, "available")
    scene.campaign.wait_rest()
    scene.remove("snapshot", snapshot)
    scene.remove("volume", volume)


@each(SNAPSHOT_DELETE)
def test_delete_of_a_snapshot_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    snapshot = scene.make("snapshot", volume_id=volume)
    scene.survive(point, lambda: scene.client.delete(f"{V3}/snapshots/{snapshot}"))
    scene.wait("snapshot", snapshot, None)
    scene.campaign.wait_rest()
    scene.remove("volume", volume)


@each(BACKUP)
def test_backup_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    backup = scene.create(point, "backup", volume_id=volume)
    scene.wait("backup", backup, "available")
    scene.campaign.wait_rest()
    scene.remove("backup", backup)
    scene.remove("volume", volume)


@each(BACKUP_DELETE)
def test_delete_of_a_backup_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    backup = scene.make("backup", volume_id=volume)
    scene.survive(point, lambda: scene.client.delete(f"{V3}/backups/{backup}"))
    scene.wait("backup", backup, None)
    scene.campaign.wait_rest()
    scene.remove("volume", volume)


@each(RESTORE)
def test_restore_survives(scene: VolumeScene, point: Point) -> None:
    origin, volume = scene.make("volume", imageRef=scene.image_id, metadata={"of": "origin"}), scene.make("volume")
    backup = scene.make("backup", volume_id=origin)
    scene.survive(point, lambda: scene.client.post(f"{V3}/backups/{backup}/restore", {"restore": {
        "volume_id": volume}}))
    scene.campaign.wait_rest()
    found = scene.wait("volume", volume, "available") or {}
    wanted = scene.show("volume", origin) or {}
    kept = ("bootable", "metadata", "volume_image_metadata")
    assert [found[name] for name in kept] == [wanted[name] for name in kept]
    assert found["bootable"] == "true"
    scene.wait("backup", backup, "available")
    for noun, key in (("backup", backup), ("volume", volume), ("volume", origin)):
        scene.remove(noun, key)


@each(DOCTOR)
def test_doctor_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.make("volume")
    made, deaths = scene.campaign, scene.campaign.deaths
    made.db.write(lambda session: session.execute(
        sa.update(Volume).where(Volume.id == volume).values(state=volume_states.CREATING, claimed_gib=7)))
    made.arm(point)
    operation = made.db.write(lambda session: doctor.accept_audit(session, RequestContext.system(), repair=True).id)
    assert made.wait_death(deaths), f"nothing passed {point}"
    made.wait_rest()
    with made.db.reading() as session:
        assert session.get_one(Operation, operation).state == "succeeded"
    scene.wait("volume", volume, "error")
    scene.remove("volume", volume)


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points were tried."""
    tried = sum(len(points) for points in ALL)
    with capsys.disabled():
        print(f"\ncrash campaign: {tried} points were tried in flows on volumes, snapshots and backups")
    assert tried >= 150
