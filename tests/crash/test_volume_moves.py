"""Kill -9 around every step that takes a volume to another back end.

Whichever process dies: without an operator the volume arrives, and nothing of it is left where it was.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.crash_campaign import (
    BACKENDS,
    Point,
    api_points,
    choice_points,
    conductor_points,
    each,
    in_conductor,
    volume_points,
)
from tests.harness.volume_scene import THERE, VolumeScene, scene

__all__ = ["scene"]
pytestmark = [pytest.mark.timeout(1500)]

MOVE_TASKS = ("ChooseTarget", "ClearTarget", "ConnectSource", "CopyVolume", "SwitchRecord", "DisconnectSource",
              "RemoveSource")
# From node1 to node2.
RETYPE = [*conductor_points(MOVE_TASKS, ["connect_volume", "create_volume", "disconnect_volume"]),
          *api_points(wake=False), *in_conductor("rpc.delete_volume:after"), *choice_points("select_backends"),
          *volume_points("volume.connect:before", "volume.connect:after", "volume.disconnect:before",
                         "volume.disconnect:after", "volume.delete_volume:before", "volume.delete_volume:after"),
          *volume_points("agent.create_volume.begin", "volume.create_volume:middle", "volume.create_volume:after",
                         node="node2")]
MIGRATE = [*in_conductor("ConnectSource:after", "CopyVolume:after", "SwitchRecord:after", "RemoveSource:before",
                          "RemoveSource:after", "finish:before", "finish:after"),
           *api_points(wake=False)]
ALL = [RETYPE, MIGRATE]


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


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points there are."""
    known = sum(len(points) for points in ALL)
    with capsys.disabled():
        print(f"\ncrash campaign: {known} points in moves of volumes")
    assert known >= 40
