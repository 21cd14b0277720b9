"""Kill -9 around every step that gives a server a NIC and takes it away, and around what is asked of its guest.

One server and one port serve all points. Afterwards records, guest and the agent's spec agree. A part of the points
runs; HOSTLER_CRASHES=all tries every one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import Campaign, Point, agent_points, conductor_points, points_of
from tests.harness.ports import wait_for

pytestmark = [pytest.mark.timeout(900)]
_SERVERS = "/compute/v2.1/servers"
ATTACH = points_of(["PlugInterface"], ["attach_interface"], [
    "attach_nic.spec", "network.plug:before", "network.plug:after", "attach_nic.plug",
    "driver.attach_interface:before", "driver.attach_interface:after", "attach_nic.end"])
FAILED_ATTACH = [*(Point("conductor", f"revert.PlugInterface:{side}") for side in ("before", "after")),
                 Point("conductor", "finish:before"), Point("conductor", "finish:after"),
                 *agent_points("detach_nic.network", "detach_nic.spec", "detach_nic.end")]
DETACH = points_of(["UnplugInterface"], ["detach_interface"], [
    "detach_nic.unplug", "driver.detach_interface:before", "driver.detach_interface:after", "detach_nic.network",
    "network.unplug:before", "network.unplug:after", "detach_nic.spec", "detach_nic.end"])
QUICK = re.compile(r"rpc\.attach_interface|attach_nic\.plug|UnplugInterface|detach_nic|revert|^finish|ResetNetwork")
RESET = [*conductor_points(["ResetNetwork"], ["reset_network"]), *agent_points("reset_network.plug")]


class Scene:
    """A campaign with a server and a port of the user's."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign, self.client = campaign, client
        self.server = client.create_server(client.make_image(), "subject")
        client.wait_server(self.server, "ACTIVE")
        network = client.get("/network/v2.0/networks?name=default").json()["networks"][0]["id"]
        self.port = client.post("/network/v2.0/ports", {"port": {"network_id": network}}).json()["port"]["id"]

    def attach(self) -> requests.Response:
        """Ask for the NIC."""
        return self.client.post(f"{_SERVERS}/{self.server}/os-interface", {
            "interfaceAttachment": {"port_id": self.port}})

    def detach(self) -> requests.Response:
        """Ask for its end."""
        return self.client.delete(f"{_SERVERS}/{self.server}/os-interface/{self.port}")

    def has_it(self) -> bool:
        """Return whether the server has the port by the records."""
        found = self.client.get(f"/network/v2.0/ports/{self.port}").json()["port"]["device_id"]
        return bool(found == self.server)

    def bring(self, *, attached: bool) -> None:
        """Undisturbed, give the server the NIC or take it."""
        self.campaign.wait_rest()
        if self.has_it() != attached:
            (self.attach() if attached else self.detach()).raise_for_status()
            wait_for(lambda: self.has_it() == attached, "the port", 30)
            self.campaign.wait_rest()


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


def each(points: Sequence[Point]) -> pytest.MarkDecorator:
    """Run a test for each point, or for those of `QUICK`."""
    everything = os.environ.get("HOSTLER_CRASHES") == "all"
    return pytest.mark.parametrize("point", [point for point in points if everything or QUICK.search(point.name)],
                                   ids=str)


@each(ATTACH)
def test_attach_survives(scene: Scene, point: Point) -> None:
    scene.bring(attached=False)
    if scene.campaign.survive(point, scene.attach) is None:
        assert scene.attach().status_code < 500  # the api died: again; a refusal says that the first was taken
    scene.campaign.wait_rest()
    assert scene.has_it()


@each(DETACH)
def test_detach_survives(scene: Scene, point: Point) -> None:
    scene.bring(attached=True)
    if scene.campaign.survive(point, scene.detach) is None:
        assert scene.detach().status_code < 500
    scene.campaign.wait_rest()
    assert not scene.has_it()


@each(FAILED_ATTACH)
def test_a_failed_attach_is_reverted(scene: Scene, point: Point) -> None:
    scene.bring(attached=False)
    deaths = scene.campaign.deaths
    scene.campaign.arm(point, failing=[Point("agent", "attach_nic.end")])
    answer = scene.attach()
    assert answer.status_code in (200, 409), answer.text
    assert scene.campaign.wait_death(deaths), f"nothing passed {point}"
    scene.campaign.wait_rest()
    scene.campaign.disarm()
    assert not scene.has_it()


@each(RESET)
def test_reset_survives(scene: Scene, point: Point) -> None:
    scene.bring(attached=True)
    reset = {"resetNetwork": None}
    scene.campaign.survive(point, lambda: scene.client.post(f"{_SERVERS}/{scene.server}/action", reset))
    scene.campaign.wait_rest()
