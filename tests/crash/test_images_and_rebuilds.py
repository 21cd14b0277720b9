"""Kill -9 around every step that makes an image of a server, rotates its backups, or rebuilds it.

Afterwards the image is whole or gone, no copy of the disk is left on the host and no snapshot without its image, and a
rebuilt server lost its disk, or the content of the volume that it boots from, once.
A random sample of the points is tried, HOSTLER_CRASHES=all tries all of them; HOSTLER_SEED repeats a choice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import (
    HOST,
    Campaign,
    Point,
    agent_points,
    api_points,
    around,
    conductor_points,
    each,
    in_conductor,
    volume_points,
)
from tests.harness.ports import wait_for
from tests.harness.volume_scene import HERE, VolumeScene

pytestmark = [pytest.mark.timeout(900)]

IMAGE = [*conductor_points(["UploadServer"], ["upload_server"]), *api_points(wake=False),
         *agent_points("snapshot.copy", "driver.copy_disk:before", "driver.copy_disk:after", "snapshot.send",
                       "snapshot.end")]
FAILED_IMAGE = around("revert.UploadServer", "rpc.discard_upload", "finish")
BACKUP = in_conductor("UploadServer:after", "finish:before", "finish:after")
REBUILD = [*conductor_points(["RebuildServer"], ["rebuild_server"]), *api_points(wake=False),
           *agent_points("rebuild.guest", "rebuild.disks", "rebuild.mark", "driver.create:before",
                         "driver.create:after", "spawn.end")]
# Of a server that boots from a volume.
VOLUME_IMAGE = [*conductor_points(["SnapshotVolumes"], ["create_snapshot"]), *api_points(wake=False),
                *volume_points("agent.create_snapshot.begin", "volume.create_snapshot:after",
                               "agent.create_snapshot.end")]
FAILED_VOLUME_IMAGE = [*around("revert.SnapshotVolumes", "rpc.delete_snapshot", "finish"),
                       *volume_points("agent.delete_snapshot.begin", "volume.delete_snapshot:after",
                                      "agent.delete_snapshot.end")]
REIMAGE = [*conductor_points(["StopServer", "DisconnectVolume", "ReimageBootVolume", "ConnectVolume", "RebuildServer"],
                             ["stop_server", "disconnect_volume", "reimage_volume", "connect_volume",
                              "rebuild_server"]),
           *api_points(wake=False),
           *volume_points("volume.disconnect:after", "agent.reimage_volume.begin", "volume.overwrite_volume:before",
                          "volume.overwrite_volume:after", "agent.reimage_volume.end", "volume.connect:after"),
           *agent_points("rebuild.guest", "driver.create:after")]
FAILED_REIMAGE = [*around("revert.ReimageBootVolume", "revert.DisconnectVolume", "rpc.connect_volume", "finish"),
                  *volume_points("volume.connect:before", "volume.connect:after")]
_REIMAGES = {"OpenStack-API-Version": "compute 2.93"}


class Scene(VolumeScene):
    """A campaign with one server that boots from an image, and one that boots from a volume and has a second one."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        super().__init__(campaign, client)
        self.server_id = client.create_server(self.image_id, "subject")
        client.wait_server(self.server_id, "ACTIVE")
        self.images_of_volume = [self.image_id, client.make_image(data=b"another" * 1024)]
        disks = [{"boot_index": number, "source_type": source, "destination_type": "volume", "volume_size": 1,
                  "volume_type": HERE, **more} for number, source, more in (
                      (0, "image", {"uuid": self.image_id}), (-1, "blank", {}))]
        self.on_volume = client.create_server("", "on-volume", block_device_mapping_v2=disks)
        client.wait_server(self.on_volume, "ACTIVE")
        [self.volume_id] = [volume["id"] for volume in client.get("/volume/v3/volumes/detail").json()["volumes"]
                            if volume["bootable"] == "true"]

    def ask(self, action: str, server_id: str = "", **argument: Any) -> requests.Response:
        """Ask for an action."""
        return self.client.post(f"/compute/v2.1/servers/{server_id or self.server_id}/action", {action: argument},
                                headers=_REIMAGES)

    def disturb(self, point: Point, request: Callable[[], requests.Response], **more: Any) -> None:
        """Make a request disturbed by `point`, and again if the api died under it."""
        if self.campaign.survive(point, request, **more) is None:
            again = request()  # 409 when the first one was accepted
            assert again.status_code < 400 or again.status_code == 409, again.text
        self.campaign.wait_rest()

    def images(self, name: str) -> list[str]:
        """Return the statuses of the images of a name."""
        return [image["status"] for image in self.client.get(f"/image/v2/images?name={name}").json()["images"]]

    def reimage(self, point: Point, **more: Any) -> str:
        """Disturbed by `point`, rebuild the server on a volume from the other of two images; returns the image."""
        made_from = (self.show("volume", self.volume_id) or {})["volume_image_metadata"]["image_id"]
        [wanted] = set(self.images_of_volume) - {made_from}
        self.disturb(point, lambda: self.ask("rebuild", self.on_volume, imageRef=wanted), **more)
        return wanted

    def content(self) -> str:
        """Return the volume's content as its node has it."""
        path = self.campaign.fleet.directory / "node1" / "volume" / "fake" / HERE / "volumes"
        return str(json.loads((path / f"{self.volume_id}.json").read_text())["content"])

    @property
    def directory(self) -> Path:
        """Where the host keeps the server."""
        return self.campaign.fleet.directory / HOST / "compute" / "servers" / self.server_id

    def copies(self) -> list[Path]:
        """Return the copies of the disk that are left on the host."""
        return list(self.directory.glob("snapshot.*"))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), volumes=True)
    try:
        yield Scene(made, made.start())
    finally:
        made.stop()


@each(IMAGE)
def test_an_image_survives(scene: Scene, point: Point) -> None:
    name = scene.name("image")
    scene.disturb(point, lambda: scene.ask("createImage", name=name))
    # An api that died after its commit was asked again, which may be another image.
    wait_for(lambda: set(scene.images(name)) == {"active"}, f"the image; now {scene.images(name)}", 30)
    assert scene.copies() == []


@each(FAILED_IMAGE)
def test_the_revert_of_an_image_survives(scene: Scene, point: Point) -> None:
    name = scene.name("broken")
    scene.disturb(point, lambda: scene.ask("createImage", name=name), failing=Point("agent", "snapshot.send"))
    scene.campaign.disarm()
    assert scene.images(name) == []
    assert scene.copies() == []


@each(BACKUP)
def test_a_rotation_survives(scene: Scene, point: Point) -> None:
    kind = scene.name("kind")
    for turn in (Point("conductor", "claim:after"), point):
        scene.disturb(turn, lambda: scene.ask("createBackup", name=kind, backup_type=kind, rotation=1))
        wait_for(lambda: scene.images(kind) == ["active"], f"one backup; now {scene.images(kind)}", 30)


@each(REBUILD)
def test_a_rebuild_survives(scene: Scene, point: Point) -> None:
    (scene.directory / "disk").write_bytes(b"written by the guest")
    scene.disturb(point, lambda: scene.ask("rebuild", imageRef=scene.image_id))
    scene.client.wait_server(scene.server_id, "ACTIVE")
    wait_for(lambda: (scene.directory / "disk").read_bytes() == b"", "a new disk", 30)
    scene.campaign.wait_rest()


@each(VOLUME_IMAGE)
def test_an_image_of_volumes_survives(scene: Scene, point: Point) -> None:
    before, name = scene.sizes()["snapshots"], scene.name("golden")
    scene.disturb(point, lambda: scene.ask("createImage", scene.on_volume, name=name))
    wait_for(lambda: set(scene.images(name)) == {"active"}, f"the image; now {scene.images(name)}", 30)
    scene.campaign.wait_rest()
    # An api that died after its commit was asked again, which may be another image.
    assert scene.sizes()["snapshots"] == before + 2 * len(scene.images(name))


@each(FAILED_VOLUME_IMAGE)
def test_the_revert_of_an_image_of_volumes_survives(scene: Scene, point: Point) -> None:
    before, name = scene.sizes()["snapshots"], scene.name("broken")
    scene.disturb(point, lambda: scene.ask("createImage", scene.on_volume, name=name),
                  failing=Point("node1", "agent.create_snapshot.end", skip=1))
    scene.campaign.disarm()
    assert scene.images(name) == []
    assert scene.sizes()["snapshots"] == before


@each(REIMAGE)
def test_a_rebuild_of_the_volume_survives(scene: Scene, point: Point) -> None:
    before = scene.content()
    wanted = scene.reimage(point)
    scene.client.wait_server(scene.on_volume, "ACTIVE")
    scene.campaign.wait_rest()
    volume = scene.wait("volume", scene.volume_id, "in-use") or {}
    assert volume["volume_image_metadata"]["image_id"] == wanted
    assert scene.content() != before


@each(FAILED_REIMAGE)
def test_the_revert_of_a_rebuild_of_the_volume_survives(scene: Scene, point: Point) -> None:
    wanted = scene.reimage(point, failing=Point("node1", "agent.reimage_volume.begin"))
    scene.campaign.disarm()
    assert scene.client.wait_server(scene.on_volume, "ERROR")["fault"]
    scene.ask("rebuild", scene.on_volume, imageRef=wanted).raise_for_status()
    scene.client.wait_server(scene.on_volume, "ACTIVE")
    scene.campaign.wait_rest()
    volume = scene.wait("volume", scene.volume_id, "in-use") or {}
    assert volume["volume_image_metadata"]["image_id"] == wanted
