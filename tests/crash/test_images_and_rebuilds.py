"""Kill -9 around every step that makes an image of a server, rotates its backups, or rebuilds it.

Afterwards the image is whole or gone, no copy of the disk is left on the host, and a rebuilt server lost its disk once.
A random sample of the points is tried, HOSTLER_CRASHES=all tries all of them; HOSTLER_SEED repeats a choice.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import HOST, Campaign, Point, agent_points, api_points, conductor_points
from tests.harness.ports import wait_for

pytestmark = [pytest.mark.timeout(900)]

IMAGE = [*conductor_points(["UploadServer"], ["upload_server"]), *api_points(wake=False),
         *agent_points("snapshot.copy", "driver.copy_disk:before", "driver.copy_disk:after", "snapshot.send",
                       "snapshot.end")]
FAILED_IMAGE = [*(Point("conductor", name) for name in (
    "revert.UploadServer:before", "revert.UploadServer:after", "rpc.discard_upload:before", "rpc.discard_upload:after",
    "finish:before", "finish:after"))]
BACKUP = [Point("conductor", name) for name in ("UploadServer:after", "finish:before", "finish:after")]
REBUILD = [*conductor_points(["RebuildServer"], ["rebuild_server"]), *api_points(wake=False),
           *agent_points("rebuild.guest", "rebuild.disks", "rebuild.mark", "driver.create:before",
                         "driver.create:after", "spawn.end")]
SEED = os.environ.get("HOSTLER_SEED", "1")
SHARE = 1.0 if os.environ.get("HOSTLER_CRASHES") == "all" else 0.25
_NUMBERS = itertools.count()


class Scene:
    """A campaign with its one server."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign = campaign
        self.client = client
        self.image_id = client.make_image()
        self.server_id = client.create_server(self.image_id, "subject")
        client.wait_server(self.server_id, "ACTIVE")

    def act(self, action: str, **argument: Any) -> requests.Response:
        """Ask for an action."""
        return self.client.post(f"/compute/v2.1/servers/{self.server_id}/action", {action: argument})

    def survive(self, point: Point, request: Callable[[], requests.Response], **more: Any) -> None:
        """Make a request disturbed by `point`, and again if the api died under it."""
        if self.campaign.survive(point, request, **more) is None:
            again = request()  # 409 when the first one was accepted
            assert again.status_code < 400 or again.status_code == 409, again.text
        self.campaign.wait_rest()

    def images(self, name: str) -> list[str]:
        """Return the statuses of the images of a name."""
        return [image["status"] for image in self.client.get(f"/image/v2/images?name={name}").json()["images"]]

    @property
    def directory(self) -> Path:
        """Where the host keeps the server."""
        return self.campaign.fleet.directory / HOST / "compute" / "servers" / self.server_id

    def copies(self) -> list[Path]:
        """Return what is left of copies on the host."""
        return list(self.directory.glob("snapshot.*"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"))
    try:
        yield Scene(made, made.start())
    finally:
        made.stop()


def each(points: list[Point]) -> pytest.MarkDecorator:
    """Run a test for each point, or for a share of them."""
    chosen = random.Random(SEED).sample(points, max(1, int(len(points) * SHARE)))
    return pytest.mark.parametrize("point", chosen, ids=str)


@each(IMAGE)
def test_an_image_survives(scene: Scene, point: Point) -> None:
    name = f"image{next(_NUMBERS)}"
    scene.survive(point, lambda: scene.act("createImage", name=name))
    # An api that died after its commit was asked again, which may be another image.
    wait_for(lambda: set(scene.images(name)) == {"active"}, f"the image; now {scene.images(name)}", 30)
    assert scene.copies() == []


@each(FAILED_IMAGE)
def test_the_revert_of_an_image_survives(scene: Scene, point: Point) -> None:
    name = f"broken{next(_NUMBERS)}"
    scene.survive(point, lambda: scene.act("createImage", name=name), failing=Point("agent", "snapshot.send"))
    scene.campaign.disarm()
    assert scene.images(name) == []
    assert scene.copies() == []


@each(BACKUP)
def test_a_rotation_survives(scene: Scene, point: Point) -> None:
    kind = f"kind{next(_NUMBERS)}"
    for turn in (Point("conductor", "claim:after"), point):
        scene.survive(turn, lambda: scene.act("createBackup", name=kind, backup_type=kind, rotation=1))
        wait_for(lambda: scene.images(kind) == ["active"], f"one backup; now {scene.images(kind)}", 30)


@each(REBUILD)
def test_a_rebuild_survives(scene: Scene, point: Point) -> None:
    (scene.directory / "disk").write_bytes(b"written by the guest")
    scene.survive(point, lambda: scene.act("rebuild", imageRef=scene.image_id))
    scene.client.wait_server(scene.server_id, "ACTIVE")
    wait_for(lambda: (scene.directory / "disk").read_bytes() == b"", "a new disk", 30)
    scene.campaign.wait_rest()
