"""Kill -9 around every step that brings volumes to servers and takes them away.

Attach and detach, hot; a boot from a new volume; the deletion of a server with volumes; and the reverts of an attach
and of a boot that fail. Afterwards records, guest, the agent's spec and the storage node's exports agree, and nothing
is left half attached.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests

from hostler.context import RequestContext
from hostler.db.models import Operation
from hostler.operations import doctor, notes
from tests.harness import backends
from tests.harness.crash_campaign import (
    Campaign,
    Point,
    agent_points,
    api_points,
    around,
    choice_points,
    conductor_points,
    each,
    patient,
    volume_points,
)
from tests.harness.ports import wait_for
from tests.harness.volume_scene import HERE, V3, VERSION, VolumeScene

pytestmark = [pytest.mark.timeout(1500)]
SERVERS = "/compute/v2.1/servers"

ATTACH = [*conductor_points(["ConnectVolume", "PlugVolume"], ["connect_volume", "attach_volume"]), *api_points(),
          *volume_points("agent.connect_volume.begin", "volume.connect:before", "volume.connect:after",
                         "agent.connect_volume.end"),
          *agent_points("attach.connection", "attach.spec", "attach.plug", "driver.attach_volume:before",
                        "driver.attach_volume:after", "attach.end")]
FAILED_ATTACH = [*around("revert.PlugVolume", "revert.ConnectVolume", "rpc.detach_volume", "rpc.disconnect_volume"),
                 Point("conductor", "finish:before"), Point("conductor", "finish:after"),
                 *agent_points("detach.unplug", "detach.spec", "detach.end"),
                 *volume_points("volume.disconnect:before", "volume.disconnect:after")]
DETACH = [*conductor_points(["UnplugVolume", "DisconnectVolume"], ["detach_volume", "disconnect_volume"]),
          *api_points(),
          *agent_points("detach.unplug", "driver.detach_volume:before", "driver.detach_volume:after", "detach.spec",
                        "detach.end"),
          *volume_points("agent.disconnect_volume.begin", "volume.disconnect:before", "volume.disconnect:after",
                         "agent.disconnect_volume.end")]
BOOT = [*around("PlaceVolumes", "FillVolumes", "ConnectVolumes", "rpc.create_volume", "rpc.connect_volume"),
        *(Point("conductor", name) for name in ("SpawnServer:before", "rpc.spawn_server:after", "finish:before",
                                                "finish:after")),
        Point("api", "commit:before"), Point("api", "commit:after"), *choice_points("select_backends"),
        *volume_points("agent.create_volume.fetched", "volume.create_volume:middle", "volume.create_volume:after",
                       "volume.connect:after"),
        *agent_points("spawn.disk", "driver.create:before", "driver.create:after")]
FAILED_BOOT = [*around("revert.ConnectVolumes", "revert.PlaceVolumes", "rpc.delete_volume", "rpc.disconnect_volume"),
               Point("conductor", "finish:before"),
               *volume_points("volume.disconnect:after", "volume.delete_volume:before", "volume.delete_volume:after")]
DELETE = [*around("LockVolumes", "DestroyServer", "DisconnectVolumes", "DeleteVolumes", "rpc.disconnect_volume",
                   "rpc.delete_volume"),
          Point("conductor", "finish:before"), Point("conductor", "finish:after"), Point("api", "commit:after"),
          *agent_points("destroy.guest", "destroy.files"),
          *volume_points("volume.disconnect:before", "volume.disconnect:after", "volume.delete_volume:before",
                         "volume.delete_volume:after")]
ALL = [ATTACH, FAILED_ATTACH, DETACH, BOOT, FAILED_BOOT, DELETE]


class ServerScene(VolumeScene):
    """As `VolumeScene`, with servers; one of them and one volume serve all attachments."""

    def __init__(self, campaign: Campaign, client: Any) -> None:
        super().__init__(campaign, client)
        self.server = client.create_server(self.image_id, "subject")
        client.wait_server(self.server, "ACTIVE")
        self.volume = self.make("volume")

    def attach(self) -> requests.Response:
        """Ask for the attachment."""
        return self.client.post(f"{SERVERS}/{self.server}/os-volume_attachments", {
            "volumeAttachment": {"volumeId": self.volume}})

    def detach(self) -> requests.Response:
        """Ask for the volume to be detached."""
        return self.client.delete(f"{SERVERS}/{self.server}/os-volume_attachments/{self.volume}")

    def attached(self, *, wanted: bool) -> None:
        """Undisturbed, bring the volume into the server or out of it."""
        status = "in-use" if wanted else "available"
        if (self.show("volume", self.volume) or {})["status"] != status:
            (self.attach() if wanted else self.detach()).raise_for_status()
            self.wait("volume", self.volume, status)

    def boot(self, name: str) -> requests.Response:
        """Ask for a server that boots from a new volume, which goes with it."""
        disk = {"boot_index": 0, "uuid": self.image_id, "source_type": "image", "destination_type": "volume",
                "volume_size": 1, "volume_type": HERE, "delete_on_termination": True}
        body = self.client.server_body("", name, block_device_mapping_v2=[disk])
        return self.client.post(SERVERS, body, headers={"Idempotency-Key": name})

    def booted(self) -> str:
        """Undisturbed, boot one; returns its id."""
        server = str(self.boot(self.name("bfv")).json()["server"]["id"])
        self.client.wait_server(server, "ACTIVE")
        return server

    def wait_gone(self, server: str) -> None:
        """Wait until a server is gone, although the api may die under a request."""
        end = time.monotonic() + 60
        while (answer := patient(partial(self.client.get, f"{SERVERS}/{server}"))) is None or answer.status_code != 404:
            assert time.monotonic() < end, f"server {server} does not go"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerScene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), volumes=True)
    try:
        yield ServerScene(made, made.start())
    finally:
        made.stop()


@each(ATTACH)
def test_attach_survives(scene: ServerScene, point: Point) -> None:
    scene.attached(wanted=False)
    scene.survive(point, scene.attach)
    scene.campaign.wait_rest()
    found = scene.wait("volume", scene.volume, "in-use")
    assert found is not None
    assert [attachment["server_id"] for attachment in found["attachments"]] == [scene.server]


@each(FAILED_ATTACH)
def test_revert_of_a_failed_attach_survives(scene: ServerScene, point: Point) -> None:
    scene.attached(wanted=False)
    scene.campaign.survive(point, scene.attach, failing=Point("agent", "driver.attach_volume:before"))
    scene.campaign.wait_rest()
    scene.campaign.disarm()
    scene.wait("volume", scene.volume, "available")
    assert (scene.client.show(scene.server) or {})["status"] == "ACTIVE"


@each(DETACH)
def test_detach_survives(scene: ServerScene, point: Point) -> None:
    scene.attached(wanted=True)
    scene.survive(point, scene.detach)
    scene.campaign.wait_rest()
    scene.wait("volume", scene.volume, "available")


@pytest.mark.contract("V-BFV")
@each(BOOT)
def test_boot_from_a_new_volume_survives(scene: ServerScene, point: Point) -> None:
    before, name = scene.sizes(), scene.name("boot")
    answer = scene.campaign.survive(point, lambda: scene.boot(name)) or scene.boot(name)
    server = str(answer.json()["server"]["id"])
    scene.client.wait_server(server, "ACTIVE")
    scene.campaign.wait_rest()
    assert scene.sizes()["volumes"] == before["volumes"] + 1
    scene.client.delete(f"{SERVERS}/{server}")
    scene.wait_gone(server)
    assert scene.sizes() == before


@each(FAILED_BOOT)
def test_revert_of_a_failed_boot_survives(scene: ServerScene, point: Point) -> None:
    before, name = scene.sizes(), scene.name("broken")
    answer = scene.campaign.survive(point, lambda: scene.boot(name), failing=Point("agent", "driver.create:before"))
    assert answer is not None
    server = str(answer.json()["server"]["id"])
    scene.client.wait_server(server, "ERROR")
    scene.campaign.disarm()
    scene.campaign.wait_rest()
    assert scene.sizes() == before  # the failure took the new volume along
    scene.client.delete(f"{SERVERS}/{server}")
    scene.wait_gone(server)


@each(DELETE)
def test_delete_of_a_server_with_volumes_survives(scene: ServerScene, point: Point) -> None:
    before, server = scene.sizes(), scene.booted()
    scene.survive(point, lambda: scene.client.delete(f"{SERVERS}/{server}"))
    scene.wait_gone(server)
    scene.campaign.wait_rest()
    assert scene.sizes() == before


def test_extend_of_an_attached_volume_survives(scene: ServerScene) -> None:
    scene.attached(wanted=True)
    for number, point in enumerate([*around("rpc.extend_volume", "rpc.resize_volume"),
                                    *agent_points("resize.volume", "driver.resize_volume", "resize.end")]):
        size = 2 + number
        scene.survive(point, partial(scene.client.post, f"{V3}/volumes/{scene.volume}/action", {
            "os-extend": {"new_size": size}}, headers=VERSION))
        scene.campaign.wait_rest()
        assert (scene.wait("volume", scene.volume, "in-use") or {})["size"] == size


def test_doctor_finds_nothing_afterwards(scene: ServerScene) -> None:
    scene.attached(wanted=True)
    server, db = scene.booted(), scene.campaign.db
    operation = db.write(lambda session: doctor.accept_audit(session, RequestContext.system()).id)

    def report() -> dict[str, Any] | None:
        with db.reading() as session:
            row = session.get_one(Operation, operation)
            return notes.value(session, operation, notes.REPORT) if row.state == "succeeded" else None

    found = wait_for(report, "the doctor")
    assert isinstance(found, dict)
    assert (found["findings"], found["unseen"]) == ([], [])
    scene.client.delete(f"{SERVERS}/{server}")
    scene.wait_gone(server)


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points there are."""
    known = sum(len(points) for points in ALL)
    with capsys.disabled():
        print(f"\ncrash campaign: {known} points in attach, detach, boot and deletion with volumes")
    assert known >= 90
