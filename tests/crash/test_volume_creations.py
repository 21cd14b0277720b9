"""Kill -9 around every step that makes volumes, from every source, and removes them.

Whichever process dies: without an operator the volume comes or goes, no volume stays in a half state, no file is
without a record and no record without its file, and quota is what is there.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.crash_campaign import (
    Point,
    api_points,
    around,
    choice_points,
    conductor_points,
    each,
    in_conductor,
    volume_points,
)
from tests.harness.volume_scene import HERE, V3, VolumeScene, scene

__all__ = ["scene"]
pytestmark = [pytest.mark.timeout(1500)]

CREATE = [*conductor_points(["SelectBackend", "CreateVolume"], ["create_volume"]), *api_points(),
          *choice_points("select_backends"),
          *volume_points("agent.create_volume.begin", "agent.create_volume.fetched", "volume.create_volume:middle",
                         "volume.create_volume:after", "agent.create_volume.end")]
# Where the content comes from changes what the node does, and little else.
FILLED = {
    "nothing": [*in_conductor("rpc.create_volume:after"), *volume_points("volume.create_volume:middle")],
    "snapshot": [*in_conductor("rpc.create_volume:before"),
                 *volume_points("volume.clone_snapshot:middle", "volume.clone_snapshot:after")],
    "volume": [*in_conductor("CreateVolume:after"),
               *volume_points("volume.clone_volume:middle", "volume.clone_volume:after")],
    "backup": [*in_conductor("CreateVolume:before"),
               *volume_points("agent.create_volume.fetched", "volume.create_volume:middle",
                              "volume.create_volume:after")],
}
REVERT = [*around("revert.CreateVolume", "revert.SelectBackend", "rpc.delete_volume"),
          *in_conductor("finish:before", "finish:after"),
          *volume_points("agent.delete_volume.begin", "volume.delete_volume:before", "volume.delete_volume:after",
                         "agent.delete_volume.end")]
DELETE = [*conductor_points(["DeleteVolume"], ["delete_volume"]), *api_points(),
          *volume_points("agent.delete_volume.begin", "volume.delete_volume:before", "volume.delete_volume:after",
                         "agent.delete_volume.end")]
CASCADE = [*around("DeleteSnapshots", "rpc.delete_snapshot"),
           *volume_points("volume.delete_snapshot:after", "volume.delete_volume:before")]
ALL = [CREATE, *FILLED.values(), REVERT, DELETE, CASCADE]


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


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points there are."""
    known = sum(len(points) for points in ALL)
    with capsys.disabled():
        print(f"\ncrash campaign: {known} points in creation and deletion of volumes")
    assert known >= 60
