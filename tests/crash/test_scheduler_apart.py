"""Kill -9 of a scheduler apart before and after each of its choices, and of the conductor that asks it.

Whichever process dies: the server or the volume gets its place, once, and nothing else stays claimed. Where conductors
choose themselves, the other campaigns have these points in the conductor.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import backends
from tests.harness.crash_campaign import Campaign, Point, around, choice_points
from tests.harness.volume_scene import HERE, VolumeScene

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VolumeScene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), volumes=True, scheduler=True)
    try:
        yield VolumeScene(made, made.start())
    finally:
        made.stop()


@pytest.mark.parametrize("point", [*choice_points("select_host", "scheduler"), *around("rpc.select_host")], ids=str)
def test_a_boot_survives(scene: VolumeScene, point: Point) -> None:
    body = scene.client.server_body(scene.image_id, scene.name("server"))
    answer = scene.campaign.survive(point, lambda: scene.client.post("/compute/v2.1/servers", body))
    assert answer is not None
    server_id = answer.json()["server"]["id"]
    scene.client.wait_server(server_id, "ACTIVE")
    scene.campaign.wait_rest()
    scene.client.delete(f"/compute/v2.1/servers/{server_id}").raise_for_status()
    scene.client.wait_gone(server_id)


@pytest.mark.parametrize("point", [*choice_points("select_backends", "scheduler"), *around("rpc.select_backends")],
                         ids=str)
def test_a_new_volume_survives(scene: VolumeScene, point: Point) -> None:
    volume = scene.create(point, "volume", size=1, volume_type=HERE)
    scene.wait("volume", volume, "available")
    scene.campaign.wait_rest()
    scene.remove("volume", volume)
