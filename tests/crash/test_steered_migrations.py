"""Kill -9 around every step of an abort and of a forced end of a live migration under way.

Whichever process dies: what was asked takes place. An aborted guest stays where it is and runs, a forced one arrives.
One server serves the whole campaign; its sending would take longer than any test waits. A sample of the points is
tried; HOSTLER_CRASHES=all tries every one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import Campaign, Point, api_points, around, in_conductor
from tests.harness.moving_scene import SERVERS, V80, MovingServer, at
from tests.harness.ports import wait_for

pytestmark = [pytest.mark.timeout(900)]
_READ = in_conductor("SendGuest:write", "SendGuest:commit")  # the transaction in which a conductor reads the wish
ABORT = [*api_points(wake=False), *_READ,
         *around("rpc.steer_migration", "rpc.watch_migration", "revert.SendGuest", "revert.PrepareTarget",
                 "revert.ClaimTarget", "rpc.destroy_server", "finish"),
         *at("source", "migrate.abort", "driver.abort_migration"),
         *at("target", "destroy.guest", "destroy.files", "destroy.end")]
FORCE = [*api_points(wake=False), *_READ,
         *around("rpc.steer_migration", "rpc.watch_migration", "TakeOver", "rpc.arrive_server", "CleanSource",
                 "rpc.destroy_server", "finish"), *in_conductor("SendGuest:after"),
         *at("source", "migrate.force_complete", "driver.force_migration", "driver.send:after", "migrate.sent",
             "destroy.guest", "destroy.end"),
         *at("target", "migrate.arrive", "network.activate", "migrate.arrived")]
_ALL = [*ABORT, *FORCE]


def _chosen(points: list[Point], seed: str) -> list[Point]:
    return points if os.environ.get("HOSTLER_CRASHES") == "all" else random.Random(seed).sample(points, 1)


class Scene(MovingServer):
    """Two hosts and one server."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign, self.client = campaign, client
        self.server = client.create_server(client.make_image(), "subject")
        client.wait_server(self.server, "ACTIVE")

    def send(self) -> str:
        """Have the guest sent, and return where the migration under way is found."""
        self.migrate().raise_for_status()
        path = f"{SERVERS}/{self.server}/migrations"
        [found] = wait_for(lambda: [migration for migration in self.client.get(path, headers=V80).json()["migrations"]
                                    if migration["status"] == "running"], "the guest on its way", 60)
        return f"{path}/{found['id']}"

    def abort(self, path: str) -> requests.Response:
        """Ask for the end of a migration."""
        return self.client.request("DELETE", path, headers=V80)

    def force(self, path: str) -> requests.Response:
        """Ask for the quick end of a migration."""
        return self.client.post(f"{path}/action", {"force_complete": None}, headers=V80)

    def end(self) -> str:
        """Wait for the end of the newest migration and return its status."""
        wait_for(lambda: self.migrations()[0]["status"] in ("completed", "error", "failed", "cancelled"),
                 "the end of the migration", 90, every_s=0.1)
        self.campaign.disarm()
        return str(self.migrations()[0]["status"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), hosts=2, overrides={
        "compute": {"compute": {"reconcile_interval": 1}, "fake": {"migration_seconds": 600}}})
    try:
        yield Scene(made, made.start())
    finally:
        made.stop()


@pytest.mark.contract("N-MIGRATE")
@pytest.mark.parametrize("point", _chosen(ABORT, "abort"), ids=str)
def test_an_abort_survives(scene: Scene, point: Point) -> None:
    source = scene.host
    path = scene.send()
    if scene.campaign.survive(scene.placed(point), lambda: scene.abort(path)) is None:
        # The api died: whether it had written the wish shows.
        assert scene.abort(path).status_code in (202, 400, 404)
    assert scene.end() == "cancelled"
    scene.check_at(source)


@pytest.mark.contract("N-MIGRATE")
@pytest.mark.parametrize("point", _chosen(FORCE, "force"), ids=str)
def test_a_forced_end_survives(scene: Scene, point: Point) -> None:
    target = scene.other(scene.host)
    path = scene.send()
    if scene.campaign.survive(scene.placed(point), lambda: scene.force(path)) is None:
        assert scene.force(path).status_code in (202, 400, 404)
    assert scene.end() == "completed"
    scene.check_at(target)


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points were tried."""
    tried = len(_chosen(ABORT, "abort")) + len(_chosen(FORCE, "force"))
    with capsys.disabled():
        print(f"\ncrash campaign: {tried} of {len(_ALL)} points were tried in live migrations that were steered")
    assert len(_ALL) >= 40
