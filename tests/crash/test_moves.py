"""Kill -9 around every step of resizes and cold migrations, of their confirmation and their revert.

Whichever process dies: without an operator the move takes place, or is undone, and nothing stays locked, claimed or
set aside. One server serves the whole campaign, another one the moves of what the image store has no more.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from compute import diskheader
from compute.virt.fake.disks import write_overlay
from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import Campaign, Point, agent_points, around, conductor_points, share_of
from tests.harness.moving_scene import MovingServer, at

pytestmark = [pytest.mark.timeout(900)]

_LET_GO = ("set_aside.off", "set_aside.guest", "set_aside.ports", "set_aside.rename", "set_aside.offer")
_TAKE = ("take_in.files", "transfer.fetch", "take_in.disks", "take_in.rename", "enter", "driver.create:after")
RESIZE = [*conductor_points(["ClaimTarget", "SetServerAside", "SwitchToTarget", "TakeServerIn"],
                            ["set_server_aside", "take_server_in"]), *agent_points(*_LET_GO, *_TAKE)]
CONFIRM = [*conductor_points(["DiscardServer"], ["discard_server"]), *agent_points("discard")]
REVERT = [*conductor_points(["RemoveFromTarget", "SwitchToSource", "RestoreServer"],
                            ["destroy_server", "restore_server"]),
          *agent_points("destroy.guest", "destroy.files", "restore.rename", "enter", "driver.create:after")]
# A sample, by a seed of its own; HOSTLER_CRASHES=all tries every point.
_ALL = [(verb, point) for verb, points in (("resize", RESIZE), ("confirm", CONFIRM), ("revert", REVERT))
        for point in points]
ORPHAN = [*around("SetServerAside", "TakeServerIn", "rpc.take_server_in"), *at("source", "set_aside.offer"),
          *at("target", "take_in.files", "take_in.image", "image.adopt:before", "image.adopt:after", "take_in.disks",
              "take_in.rename", "driver.create:after")]
LIVE_ORPHAN = [*around("PrepareTarget", "rpc.offer_base", "rpc.prepare_migration"), *at("source", "migrate.offer"),
               *at("target", "migrate.disks", "migrate.base", "image.adopt:before", "image.adopt:after",
                   "disk.ensure:after", "migrate.prepared")]
POINTS = _ALL if os.environ.get("HOSTLER_CRASHES") == "all" else random.Random(11).sample(_ALL, 14)


class Scene:
    """A campaign with its one server."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign = campaign
        self.client = client
        self.flavors = [client.post("/compute/v2.1/flavors", {"flavor": {
            "name": f"size{number}", "vcpus": 1 + number, "ram": 128, "disk": 1, "id": f"size{number}"}}
            ).json()["flavor"]["id"] for number in (1, 2)]
        self.server_id = client.create_server(client.make_image(), "subject")
        client.wait_server(self.server_id, "ACTIVE")
        self._turn = 0

    def request(self, verb: str) -> dict[str, object]:
        """Return the body of a request."""
        if verb == "resize":
            return {"resize": {"flavorRef": self.flavors[self._turn % 2]}}
        return {"confirmResize": None} if verb == "confirm" else {"revertResize": None}

    def act(self, verb: str) -> requests.Response:
        """Ask for a change."""
        return self.client.post(f"/compute/v2.1/servers/{self.server_id}/action", self.request(verb))

    def bring_to(self, status: str) -> None:
        """Undisturbed, bring the server into a status."""
        now = str((self.client.show(self.server_id) or {})["status"])
        if now != status:
            self.act("resize" if status == "VERIFY_RESIZE" else "confirm").raise_for_status()
            self.client.wait_server(self.server_id, status)
            self._turn += status == "ACTIVE"


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


@pytest.mark.contract("N-RESIZE", "N-MIGRATE")
@pytest.mark.parametrize(("verb", "point"), POINTS, ids=str)
def test_a_move_survives(scene: Scene, verb: str, point: Point) -> None:
    scene.bring_to("ACTIVE" if verb == "resize" else "VERIFY_RESIZE")
    scene.campaign.survive(point, lambda: scene.act(verb))
    scene.campaign.wait_rest()
    status = (scene.client.show(scene.server_id) or {})["status"]
    assert status == ("VERIFY_RESIZE" if verb == "resize" else "ACTIVE")
    scene._turn += verb == "confirm"


class Orphan(MovingServer):
    """A server with two hosts, whose image is deleted."""

    def __init__(self, campaign: Campaign) -> None:
        self.campaign = campaign
        self.client = client = campaign.start()
        data = b"deleted" * 1024
        self._base, image = hashlib.sha256(data).hexdigest(), client.make_image(data=data)
        self.server = client.create_server(image, "orphan")
        client.wait_server(self.server, "ACTIVE")
        write_overlay(self._compute(self.host) / "servers" / self.server / "disk", self._base)
        client.delete(f"/image/v2/images/{image}").raise_for_status()

    def _compute(self, host: str) -> Path:
        return self.campaign.fleet.directory / host / "compute"

    def base_at(self, host: str) -> Path:
        """Return where a host keeps what the disk builds on."""
        return self._compute(host) / "images" / self._base

    def builds_on_it(self, host: str) -> bool:
        """Return whether the server's disk at a host is an overlay."""
        return diskheader.base_of(self._compute(host) / "servers" / self.server / "disk") == self._base

    def settle(self) -> None:
        """Undisturbed, have the server stay where it is, with the other host knowing nothing of its image."""
        if (self.client.show(self.server) or {})["status"] == "VERIFY_RESIZE":
            self.ask({"confirmResize": None}).raise_for_status()
            self.client.wait_server(self.server, "ACTIVE")
            self.campaign.wait_rest()
        self.base_at(self.other(self.host)).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def orphan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orphan]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), hosts=2)
    try:
        yield Orphan(made)
    finally:
        made.stop()


@pytest.mark.contract("N-MIGRATE")
@pytest.mark.parametrize("point", share_of(ORPHAN), ids=str)
def test_a_move_with_what_the_store_has_no_more_survives(orphan: Orphan, point: Point) -> None:
    orphan.settle()
    source = orphan.host
    orphan.campaign.survive(orphan.placed(point), lambda: orphan.ask({"migrate": None}))
    orphan.check_at(orphan.other(source), "VERIFY_RESIZE")
    assert orphan.base_at(orphan.host).exists() and orphan.base_at(source).exists()


@pytest.mark.contract("N-MIGRATE")
@pytest.mark.parametrize("point", share_of(LIVE_ORPHAN), ids=str)
def test_a_guest_sent_with_what_the_store_has_no_more_survives(orphan: Orphan, point: Point) -> None:
    orphan.settle()
    source = orphan.host
    orphan.campaign.survive(orphan.placed(point), orphan.migrate)
    orphan.check_at(orphan.other(source))
    assert orphan.migrations()[0]["status"] == "completed"
    assert orphan.base_at(orphan.host).exists() and orphan.builds_on_it(orphan.host)


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points were tried."""
    orphans = ORPHAN, LIVE_ORPHAN
    tried, points = (len(some) + sum(map(len, others)) for some, others in (
        (POINTS, map(share_of, orphans)), (_ALL, orphans)))
    with capsys.disabled():
        print(f"\ncrash campaign: {tried} of {points} points were tried in moves of servers")
    assert points >= 50
