"""Kill -9 around every step that makes, restores and removes snapshots and backups.

Whichever process dies: without an operator the change takes place, and no file is without a record and no record
without its file.
"""

from __future__ import annotations

import pytest

from tests.harness.crash_campaign import Point, api_points, around, conductor_points, each, in_conductor, volume_points
from tests.harness.volume_scene import V3, VolumeScene, scene

__all__ = ["scene"]
pytestmark = [pytest.mark.timeout(1500)]

SNAPSHOT = [*conductor_points(["CreateSnapshot"], ["create_snapshot"]), *api_points(wake=False),
            *volume_points("agent.create_snapshot.begin", "volume.create_snapshot:before",
                           "volume.create_snapshot:after", "agent.create_snapshot.end")]
SNAPSHOT_DELETE = [*conductor_points(["DeleteSnapshot"], ["delete_snapshot"]),
                   *volume_points("volume.delete_snapshot:before", "volume.delete_snapshot:after")]
BACKUP = [*conductor_points(["AssignStore", "CreateBackup"], ["create_backup"]), *api_points(wake=False),
          *volume_points("agent.create_backup.begin", "agent.create_backup.read", "agent.create_backup.end")]
BACKUP_DELETE = [*around("DeleteBackup", "rpc.delete_backup"), *in_conductor("finish:before"),
                 *volume_points("agent.delete_backup.begin", "agent.delete_backup.end")]
RESTORE = [*conductor_points(["RestoreBackup"], ["restore_backup"]), *api_points(wake=False),
           *volume_points("agent.restore_backup.begin", "agent.restore_backup.write",
                          "volume.overwrite_volume:before", "volume.overwrite_volume:after",
                          "agent.restore_backup.end")]
ALL = [SNAPSHOT, SNAPSHOT_DELETE, BACKUP, BACKUP_DELETE, RESTORE]


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


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points there are."""
    known = sum(len(points) for points in ALL)
    with capsys.disabled():
        print(f"\ncrash campaign: {known} points in flows on snapshots and backups")
    assert known >= 50
