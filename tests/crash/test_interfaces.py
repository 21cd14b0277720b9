"""Kill -9 around every step that gives a server a NIC or an ISO and takes it away, and around what is asked of its
guest.

One server, one port and one ISO serve all points. Afterwards records, guest and the agent's spec agree. A part of the
points runs; HOSTLER_CRASHES=all tries every one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import pytest
import requests
from sqlalchemy import orm

from hostler.context import RequestContext
from hostler.db.models import Server
from hostler.operations.accept import Target, accept
from hostler.operations.kinds import server as kinds
from hostler.operations.kinds.arguments import Arguments
from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import Campaign, Point, agent_points, conductor_points, points_of
from tests.harness.discs import iso_disc
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
_ISO = [*agent_points("attach_iso.spec", "driver.change_medium:before", "driver.change_medium:after", "attach_iso.end")]
ATTACH_ISO = [*conductor_points(["InsertIso"], ["attach_iso"]), *_ISO]
FAILED_ISO = [*(Point("conductor", f"revert.InsertIso:{side}") for side in ("before", "after")),
              Point("conductor", "finish:before"), *agent_points("detach_iso.eject", "detach_iso.spec")]
DETACH_ISO = [*conductor_points(["EjectIso"], ["detach_iso"]),
              *agent_points("detach_iso.eject", "driver.change_medium:after", "detach_iso.spec", "detach_iso.end")]
QUICK = re.compile(r"rpc\.attach_interface|attach_nic\.plug|UnplugInterface|detach_nic|revert|^finish|ResetNetwork|"
                   r"InsertIso:after|change_medium:after|EjectIso:before")
RESET = [*conductor_points(["ResetNetwork"], ["reset_network"]), *agent_points("reset_network.plug")]


class Scene:
    """A campaign with a server and a port of the user's."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign, self.client = campaign, client
        image = client.make_image()
        client.request("PATCH", f"/image/v2/images/{image}", json=[
            {"op": "add", "path": "/hw_cdrom_bus", "value": "sata"}],
            headers={"Content-Type": "application/openstack-images-v2.1-json-patch"}).raise_for_status()
        self.server = client.create_server(image, "subject")
        client.wait_server(self.server, "ACTIVE")
        self.iso = client.make_image("disc", iso_disc(), "iso")
        network = client.get("/network/v2.0/networks?name=default").json()["networks"][0]["id"]
        self.port = client.post("/network/v2.0/ports", {"port": {"network_id": network}}).json()["port"]["id"]

    def attach(self) -> requests.Response:
        """Ask for the NIC."""
        return self.client.post(f"{_SERVERS}/{self.server}/os-interface", {
            "interfaceAttachment": {"port_id": self.port}})

    def detach(self) -> requests.Response:
        """Ask for the NIC to be removed."""
        return self.client.delete(f"{_SERVERS}/{self.server}/os-interface/{self.port}")

    def change_iso(self, *, attached: bool) -> None:
        """Ask for the ISO in the server's drive, or for its end, and wait for it; no API does so yet."""
        def work(session: orm.Session) -> str:
            server = session.get_one(Server, self.server)
            kind, arguments = ((kinds.ATTACH_ISO, kinds.AttachIso(image_id=self.iso)) if attached
                               else (kinds.DETACH_ISO, Arguments()))
            context = RequestContext(user_id=server.user_id, project_id=server.project_id, roles=["member"])
            return accept(session, context, kind, Target("server", server.id), arguments,  # type: ignore[arg-type]
                          project_id=server.project_id, host_id=server.host_id).id

        self.campaign.db.write(work)

    def has_iso(self) -> bool:
        """Return whether the drive holds the ISO by the records; `wait_rest` compares them with guest and spec."""
        with self.campaign.db.reading() as session:
            return session.get_one(Server, self.server).iso_image_id is not None

    def bring_iso(self, *, attached: bool) -> None:
        """Undisturbed, fill the drive or empty it."""
        self.campaign.wait_rest()
        if self.has_iso() != attached:
            self.change_iso(attached=attached)
            wait_for(lambda: self.has_iso() == attached, "the ISO", 30)
            self.campaign.wait_rest()

    def die(self, point: Point, *, attached: bool, failing: Sequence[Point] = ()) -> None:
        """Change the ISO while a process dies at `point`."""
        deaths = self.campaign.deaths
        self.campaign.arm(point, failing=failing)
        self.change_iso(attached=attached)
        assert self.campaign.wait_death(deaths), f"nothing passed {point}"
        self.campaign.wait_rest()
        self.campaign.disarm()

    def has_it(self) -> bool:
        """Return whether the port belongs to the server, by the records."""
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
        assert scene.attach().status_code < 500  # again, because the api died; a refusal says that it had accepted
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


@each(ATTACH_ISO)
def test_an_iso_that_goes_in_survives(scene: Scene, point: Point) -> None:
    scene.bring_iso(attached=False)
    scene.die(point, attached=True)
    assert scene.has_iso()


@each(DETACH_ISO)
def test_an_iso_that_comes_out_survives(scene: Scene, point: Point) -> None:
    scene.bring_iso(attached=True)
    scene.die(point, attached=False)
    assert not scene.has_iso()


@each(FAILED_ISO)
def test_an_iso_that_could_not_go_in_is_taken_out(scene: Scene, point: Point) -> None:
    scene.bring_iso(attached=False)
    scene.die(point, attached=True, failing=[Point("agent", "attach_iso.end")])
    assert not scene.has_iso()
