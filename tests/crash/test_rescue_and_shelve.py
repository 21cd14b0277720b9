"""Kill -9 around every step of rescue, shelving, the trash and a resize that is confirmed by itself.

Whichever process dies: without an operator the change takes place, once asked for, and nothing stays locked or
unfinished; images, claims, ports and files are exact. One server serves the whole campaign. A sample of the points is
tried; HOSTLER_CRASHES=all tries all of them.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import Campaign, Point, agent_points, conductor_points, in_conductor

pytestmark = [pytest.mark.timeout(900)]

RESCUE = [*conductor_points(["RescueServer"], ["rescue_server"]),
          *agent_points("rescue.definition", "rescue.off", "spawn.spec", "driver.create:after")]
UNRESCUE = [*conductor_points(["UnrescueServer"], ["unrescue_server"]),
            *agent_points("unrescue.off", "unrescue.spec", "unrescue.restore", "driver.restore:after",
                          "unrescue.files")]
# Two operations, of which the second begins as the first one ends.
SHELVE = [*conductor_points(["SwitchOff", "UploadServer", "LeaveHost"], ["stop_server", "upload_server",
                                                                        "destroy_server"]),
          *agent_points("snapshot.copy", "snapshot.send", "destroy.guest", "destroy.files")]
UNSHELVE = [*conductor_points(["SelectHost", "AssignHost", "SpawnServer"], ["spawn_server"]),
            *agent_points("spawn.image", "spawn.disk", "driver.create:after")]
SOFT_DELETE = conductor_points(["SwitchOff"], ["stop_server"])
RESTORE = conductor_points(["SwitchOn"], ["start_server"])
# Nobody confirms it: the points are those of what becomes due.
RESIZE = [*in_conductor("confirmations:before", "confirmations:after"),
          *conductor_points(["DiscardServer"], ["discard_server"])[1:-2]]

# Verb → (the request's action, the status it must start from, the status it ends in, its points).
VERBS: dict[str, tuple[str, str, str, list[Point]]] = {
    "rescue": ("rescue", "ACTIVE", "RESCUE", RESCUE),
    "unrescue": ("unrescue", "RESCUE", "ACTIVE", UNRESCUE),
    "shelve": ("shelve", "ACTIVE", "SHELVED_OFFLOADED", SHELVE),
    "unshelve": ("unshelve", "SHELVED_OFFLOADED", "ACTIVE", UNSHELVE),
    "soft_delete": ("delete", "ACTIVE", "SOFT_DELETED", SOFT_DELETE),
    "restore": ("restore", "SOFT_DELETED", "ACTIVE", RESTORE),
    "resize": ("resize", "ACTIVE", "ACTIVE", RESIZE),
}
_ALL = [(verb, point) for verb, (*_, points) in VERBS.items() for point in points]
TRIED = _ALL if os.environ.get("HOSTLER_CRASHES") == "all" else random.Random(5).sample(_ALL, 14)
_WAY = {("ACTIVE", "RESCUE"): "rescue", ("RESCUE", "ACTIVE"): "unrescue", ("ACTIVE", "SHELVED_OFFLOADED"): "shelve",
        ("SHELVED_OFFLOADED", "ACTIVE"): "unshelve", ("ACTIVE", "SOFT_DELETED"): "soft_delete",
        ("SOFT_DELETED", "ACTIVE"): "restore"}


class Scene:
    """A campaign with its one server."""

    def __init__(self, campaign: Campaign, client: Client) -> None:
        self.campaign = campaign
        self.client = client
        self.flavors = itertools.cycle(client.post("/compute/v2.1/flavors", {"flavor": {
            "name": name, "vcpus": vcpus, "ram": 128, "disk": 1, "id": name}}).json()["flavor"]["id"]
            for name, vcpus in (("one", 1), ("two", 2)))
        self.server_id = client.create_server(client.make_image(), "subject", flavor=next(self.flavors))
        client.wait_server(self.server_id, "ACTIVE")

    def bring_to(self, status: str) -> None:
        """Undisturbed, bring the server into a status."""
        for step in ("ACTIVE", status):
            if (now := self.status()) != step:
                self.act(_WAY[now, step]).raise_for_status()
                self.client.wait_server(self.server_id, step)

    def status(self) -> str:
        """Return the server's status."""
        return str((self.client.show(self.server_id) or {})["status"])

    def act(self, verb: str) -> requests.Response:
        """Ask for a change."""
        path = f"/compute/v2.1/servers/{self.server_id}"
        if verb == "soft_delete":
            return self.client.delete(path)
        argument = {"flavorRef": next(self.flavors)} if verb == "resize" else None
        return self.client.post(f"{path}/action", {VERBS[verb][0]: argument})

    def images(self) -> int:
        """Return how many images the server was shelved as."""
        return len(self.client.get("/image/v2/images?name=subject-shelved").json()["images"])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"), overrides={
        "all": {"DEFAULT": {"service_down_time": 30}, "identity": {"password_rounds": 4},
                "bus": {"silence_timeout": 2}, "conductor": {"retry_delay": 0.2, "sweep_interval": 1},
                "compute": {"deletion_policy": "never", "resize_confirm_window": 1}}})
    try:
        yield Scene(made, made.start())
    finally:
        made.stop()


@pytest.mark.contract("N-RESCUE", "N-SHELVE", "N-RESTORE")
@pytest.mark.parametrize(("verb", "point"), TRIED, ids=str)
def test_the_change_survives(scene: Scene, verb: str, point: Point) -> None:
    _, before, after, _ = VERBS[verb]
    scene.bring_to(before)
    scene.campaign.survive(point, lambda: scene.act(verb))
    scene.client.wait_server(scene.server_id, after)
    scene.campaign.wait_rest()
    assert scene.status() == after
    assert scene.images() == (1 if after == "SHELVED_OFFLOADED" else 0)


def test_campaign_size() -> None:
    assert len(_ALL) >= 70
