"""Kill -9 around every step that changes a volume, or repairs its record.

Whichever process dies: without an operator the change takes place, and no volume stays in a half state.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from hostler.context import RequestContext
from hostler.db.models import Operation, Volume
from hostler.operations import doctor
from hostler.resources.volume import states as volume_states
from tests.harness.crash_campaign import Point, api_points, around, conductor_points, each, in_conductor, volume_points
from tests.harness.volume_scene import VolumeScene, scene

__all__ = ["scene"]
pytestmark = [pytest.mark.timeout(1500)]

EXTEND = [*conductor_points(["ExtendOnNode", "ExtendOnHosts"], ["extend_volume"]), *api_points(wake=False),
          *volume_points("agent.extend_volume.begin", "volume.extend_volume:before", "volume.extend_volume:after",
                         "agent.extend_volume.end")]
UPLOAD = [*conductor_points(["UploadVolume"], ["upload_volume"]), *api_points(wake=False),
          *volume_points("agent.upload_volume.begin", "agent.upload_volume.converted", "agent.upload_volume.end")]
REVERT_TO = [*around("RevertVolume", "rpc.revert_volume"), *in_conductor("finish:before"),
             *volume_points("agent.revert_volume.begin", "volume.revert_to_snapshot:before",
                            "volume.revert_to_snapshot:after")]
DOCTOR = conductor_points(["ExamineCloud"], ["get_inventory"])
ALL = [EXTEND, UPLOAD, REVERT_TO, DOCTOR]


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
    """Say how many crash points there are."""
    known = sum(len(points) for points in ALL)
    with capsys.disabled():
        print(f"\ncrash campaign: {known} points in changes of volumes")
    assert known >= 35
