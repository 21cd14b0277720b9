"""Kill -9 around every step that takes a server to another host: live migrations, evacuations (also those that nobody
asks for) and drains, with their reverts; and around what is asked of its guest.

Whichever process dies: without an operator the server ends on one of the two hosts, and nothing of it is left on the
other. One server with a volume serves the whole campaign, going from host to host. A sample of the points is tried, by
a seed of its own; HOSTLER_CRASHES=all tries every one.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import (
    Campaign,
    Point,
    api_points,
    around,
    choice_points,
    conductor_points,
    in_conductor,
    volume_points,
)
from tests.harness.moving_scene import SERVERS, MovingServer, at
from tests.harness.ports import wait_for
from tests.harness.volume_scene import VolumeScene

pytestmark = [pytest.mark.timeout(1800)]
POLICY = "hostler:on_host_failure"
V53 = {"OpenStack-API-Version": "compute 2.53"}


LIVE = [
    *conductor_points(["LockVolumes", "ClaimTarget", "ConnectTarget", "PrepareTarget", "SendGuest", "TakeOver",
                       "CleanSource", "DisconnectSource"],
                      ["connect_volume", "describe_migration", "prepare_migration", "send_server", "watch_migration",
                       "arrive_server", "destroy_server", "disconnect_volume"]),
    *api_points(wake=False), *choice_points("select_host"),
    *volume_points("volume.connect:before", "volume.connect:after", "volume.disconnect:before",
                   "volume.disconnect:after"),
    *at("source", "migrate.describe", "driver.describe_migration", "migrate.send", "driver.send:before",
         "driver.send:copy", "driver.send:after", "migrate.sent", "destroy.guest", "destroy.ports", "destroy.files",
         "destroy.end"),
    *at("target", "migrate.spec", "network.plug:before", "network.plug:after", "migrate.ports", "migrate.disks",
         "disk.ensure:before", "disk.ensure:after", "migrate.landing", "driver.prepare_migration", "migrate.prepared",
         "migrate.arrive", "network.activate", "migrate.arrived")]
FAILED_LIVE = [*around("revert.SendGuest", "revert.PrepareTarget", "revert.ConnectTarget", "revert.ClaimTarget",
                       "rpc.destroy_server", "rpc.disconnect_volume", "finish"),
               *volume_points("volume.disconnect:before", "volume.disconnect:after"),
               *at("target", "destroy.guest", "destroy.files", "destroy.end")]
EVACUATION = [
    *conductor_points(["FenceHost", "LockVolumes", "ClaimTarget", "MoveConnections", "RebuildServer"],
                      ["shut_out_host", "connect_volume", "spawn_server"]),
    *api_points(wake=False), *choice_points("select_host"),
    *volume_points("volume.disconnect:before", "volume.disconnect:after", "volume.connect:before",
                   "volume.connect:after"),
    *at("target", "spawn.spec", "spawn.ports", "spawn.image", "spawn.disk", "spawn.start", "driver.create:before",
         "driver.create:after", "spawn.end")]
FAILED_EVACUATION = [*around("revert.RebuildServer", "revert.MoveConnections", "revert.ClaimTarget",
                              "rpc.destroy_server", "finish"),
                     *at("target", "destroy.guest", "destroy.files")]
RESTART = in_conductor("host_failures:before", "host_failures:after", "claim:after", "FenceHost:before",
                       "rpc.spawn_server:after", "finish:before")
DRAIN = [*in_conductor(*(f"MoveServersAway:{where}" for where in ("before", "write", "commit", "after"))),
         *around("SendGuest", "TakeOver"), *at("source", "driver.send:after"), *at("target", "migrate.arrive"),
         *api_points(wake=False)]
PASSWORD = [*conductor_points(["ChangePassword"], ["change_password"]), *api_points(wake=False),
            *at("source", "driver.set_password")]
CRASH_DUMP = [*conductor_points(["InjectNmi"], ["inject_nmi"]), *api_points(wake=False),
              *at("source", "driver.inject_nmi")]
FLOWS = {"live": LIVE, "failed_live": FAILED_LIVE, "evacuation": EVACUATION,
         "failed_evacuation": FAILED_EVACUATION, "restart": RESTART, "drain": DRAIN, "password": PASSWORD,
         "crash_dump": CRASH_DUMP}
_ALL = [(flow, point) for flow, points in FLOWS.items() for point in points]


def _chosen(flow: str) -> list[Point]:
    if os.environ.get("HOSTLER_CRASHES") == "all":
        return FLOWS[flow]
    return random.Random(f"11 {flow}").sample(FLOWS[flow], 1)


class Scene(MovingServer, VolumeScene):
    """Two hosts; one server with a volume, on either."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        super().__init__(campaign, client)
        client.request("PATCH", f"/image/v2/images/{self.image_id}", json=[
            {"op": "add", "path": "/hw_qemu_guest_agent", "value": "yes"}],
            headers={"Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()
        self.server = client.create_server(self.image_id, "subject")
        client.wait_server(self.server, "ACTIVE")
        self.volume = self.make("volume")
        client.post(f"{SERVERS}/{self.server}/os-volume_attachments", {
            "volumeAttachment": {"volumeId": self.volume}}).raise_for_status()
        self.wait("volume", self.volume, "in-use")
        self.aggregates = {host: self._aggregate(host) for host in campaign.fleet.hosts}

    def _aggregate(self, host: str) -> str:
        made = self.client.post("/compute/v2.1/os-aggregates", {"aggregate": {"name": host}}).json()["aggregate"]["id"]
        self.client.post(f"/compute/v2.1/os-aggregates/{made}/action", {"add_host": {"host": host}}).raise_for_status()
        return str(made)

    def survive_move(self, point: Point, request: Any, *, failing: Point | None = None) -> str:
        """Disturbed by `point`, ask for a move, once; returns how it ended when all is at rest."""
        before = len(self.migrations())
        answer = self.campaign.survive(self.placed(point), request,
                                       failing=self.placed(failing) if failing is not None else None)
        if answer is None and len(self.migrations()) == before:
            request().raise_for_status()
        wait_for(lambda: len(self.migrations()) > before and self.migrations()[0]["status"] in (
            "completed", "done", "error", "failed", "cancelled"), "the end of the move", 90, every_s=0.1)
        self.campaign.disarm()
        return str(self.migrations()[0]["status"])

    def force_down(self, host: str, *, down: bool) -> requests.Response:
        """Force a host's service down, or no longer."""
        [service] = self.client.get(f"/compute/v2.1/os-services?binary=nova-compute&host={host}",
                                    headers=V53).json()["services"]
        answer = self.client.request("PUT", f"/compute/v2.1/os-services/{service['id']}", json={"forced_down": down},
                                     headers=V53)
        answer.raise_for_status()
        return answer

    @contextlib.contextmanager
    def restarts_elsewhere(self) -> Iterator[None]:
        """Have the server evacuated whenever its host is down."""
        path = f"{SERVERS}/{self.server}/metadata"
        self.client.post(path, {"metadata": {POLICY: "restart"}}).raise_for_status()
        self.campaign.wait_rest()
        try:
            yield
        finally:
            self.client.delete(f"{path}/{POLICY}").raise_for_status()

    @contextlib.contextmanager
    def hung(self, host: str, *, down: bool = True) -> Iterator[None]:
        """Stop a host's agent amid its work and force the host down, unless the caller does; then resume it."""
        process = self.campaign.fleet.processes[host]
        os.killpg(process.pid, signal.SIGSTOP)
        try:
            if down:
                self.force_down(host, down=True)
            yield
        finally:
            os.killpg(process.pid, signal.SIGCONT)
            self.force_down(host, down=False)
            wait_for(lambda: self.campaign.fleet._hosts_up(self.client) == 2, "both hosts up", 60)

    def maintain(self, host: str, *, wanted: bool) -> requests.Response:
        """Start or end the maintenance of a host."""
        return self.client.post(f"/compute/v2.1/os-aggregates/{self.aggregates[host]}/action", {
            "set_metadata": {"metadata": {"hostler:maintenance": "true" if wanted else None}}})

    def guest(self) -> dict[str, Any]:
        """Return what the hypervisor keeps of the guest."""
        path = self.campaign.fleet.directory / self.host / "compute" / "fake" / "domains" / f"{self.server}.json"
        return dict(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), hosts=2, volumes=True, overrides={
        "conductor": {"conductor": {"restart_interval": 0.5}},
        "compute": {"compute": {"reconcile_interval": 1}, "fake": {"migration_seconds": 3.0}}})
    try:
        yield Scene(made, made.start())
    finally:
        made.stop()


@pytest.mark.contract("N-MIGRATE")
@pytest.mark.parametrize("point", _chosen("live"), ids=str)
def test_a_live_migration_survives(scene: Scene, point: Point) -> None:
    target = scene.other(scene.host)
    assert scene.survive_move(point, scene.migrate) == "completed"
    scene.check_at(target)


@pytest.mark.parametrize("point", _chosen("failed_live"), ids=str)
def test_the_revert_of_a_live_migration_survives(scene: Scene, point: Point) -> None:
    source = scene.host
    assert scene.survive_move(point, scene.migrate, failing=Point("source", "driver.send:copy")) == "failed"
    scene.check_at(source)


@pytest.mark.contract("N-EVACUATE")
@pytest.mark.parametrize("point", _chosen("evacuation"), ids=str)
def test_an_evacuation_survives(scene: Scene, point: Point) -> None:
    source, target = scene.host, scene.other(scene.host)
    with scene.hung(source):
        assert scene.survive_move(point, lambda: scene.ask({"evacuate": {}})) == "done"
    scene.check_at(target)


@pytest.mark.parametrize("point", _chosen("failed_evacuation"), ids=str)
def test_the_revert_of_an_evacuation_survives(scene: Scene, point: Point) -> None:
    source = scene.host
    with scene.hung(source):
        assert scene.survive_move(point, lambda: scene.ask({"evacuate": {}}),
                                  failing=Point("target", "driver.create:before")) == "error"
    scene.check_at(source, "ERROR")
    scene.ask({"reboot": {"type": "HARD"}}).raise_for_status()
    wait_for(lambda: (scene.client.show(scene.server) or {})["status"] == "ACTIVE", "the repaired guest", 60)
    scene.check_at(source)


@pytest.mark.parametrize("point", _chosen("restart"), ids=str)
def test_an_evacuation_that_nobody_asks_for_survives(scene: Scene, point: Point) -> None:
    source, target = scene.host, scene.other(scene.host)
    before = len(scene.migrations())
    with scene.restarts_elsewhere(), scene.hung(source, down=False):
        assert scene.survive_move(point, lambda: scene.force_down(source, down=True)) == "done"
    scene.check_at(target)
    assert len(scene.migrations()) == before + 1


@pytest.mark.parametrize("point", _chosen("drain"), ids=str)
def test_a_drain_survives(scene: Scene, point: Point) -> None:
    source, target = scene.host, scene.other(scene.host)
    before = len(scene.migrations())
    if scene.campaign.survive(scene.placed(point), lambda: scene.maintain(source, wanted=True)) is None:
        scene.maintain(source, wanted=True).raise_for_status()
    scene.campaign.wait_rest()
    scene.maintain(source, wanted=False).raise_for_status()
    scene.check_at(target)
    assert [row["status"] for row in scene.migrations()][:-before or None] == ["completed"], "moved once"


@pytest.mark.parametrize("point", _chosen("password"), ids=str)
def test_a_change_of_password_survives(scene: Scene, point: Point) -> None:
    scene.campaign.survive(scene.placed(point), lambda: scene.ask({"changePassword": {"adminPass": "secret"}}))
    scene.check_at(scene.host)


@pytest.mark.parametrize("point", _chosen("crash_dump"), ids=str)
def test_a_crash_dump_survives(scene: Scene, point: Point) -> None:
    before = scene.guest()["nmis"]
    if scene.campaign.survive(scene.placed(point), lambda: scene.ask({"trigger_crash_dump": None})) is None:
        assert scene.ask({"trigger_crash_dump": None}).status_code in (202, 409)
    scene.check_at(scene.host)
    assert scene.guest()["nmis"] > before


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points were tried."""
    with capsys.disabled():
        print(f"\ncrash campaign: {sum(len(_chosen(flow)) for flow in FLOWS)} of {len(_ALL)} points were tried in "
              "moves between hosts")
    assert len(_ALL) >= 150
