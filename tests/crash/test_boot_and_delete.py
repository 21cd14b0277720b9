"""Kill -9 of every control service and of the agent, before and after every step of boot and delete.

Whichever process dies: without an operator the server becomes ACTIVE (boot) or is gone (delete), never shows a false
ERROR on the way, and nothing is left running, locked, claimed or on the host. A sample of the points is tried;
HOSTLER_CRASHES=all tries every one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import Campaign, Point, agent_points, patient, points_of, share_of

pytestmark = [pytest.mark.timeout(1500)]
_ONE_IN = 3  # more points than of other flows: these are what a cloud does most

BOOT = points_of(
    ["SelectHost", "AssignHost", "SpawnServer"], ["spawn_server"],
    [*(f"spawn.{step}" for step in ("ports", "image", "disk", "start", "activate", "end")),
     "network.plug:before", "network.plug:after", "driver.create:before", "driver.create:after"])
DELETE = points_of(
    ["DestroyServer"], ["destroy_server"],
    [*(f"destroy.{step}" for step in ("guest", "ports", "files", "end")),
     "driver.destroy:before", "driver.destroy:after", "network.unplug:before", "network.unplug:after"])

# A build that fails is reverted; the revert is interrupted, too.
FAILING = Point("agent", "driver.create:before")
REVERT = [*(Point("conductor", name) for name in (
    *(f"revert.{task}:{side}" for task in ("SpawnServer", "AssignHost", "SelectHost") for side in ("before", "after")),
    "rpc.destroy_server:before", "rpc.destroy_server:after", "finish:before", "finish:after")),
    *agent_points("spawn.start", "destroy.guest", "driver.destroy:after", "destroy.ports", "network.unplug:before",
                  "network.unplug:after", "destroy.files", "destroy.end")]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Campaign, Client, str]]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("crash"))
    try:
        client = made.start()
        yield made, client, client.make_image()
    finally:
        made.stop()


def _id_of(answer: requests.Response | None) -> str:
    assert answer is not None
    assert answer.status_code == 202, f"{answer.status_code}: {answer.text}"
    return str(answer.json()["server"]["id"])


def _watch(client: Client, server_id: str, until: str | None, timeout_s: float = 60) -> dict[str, Any] | None:
    end = time.monotonic() + timeout_s
    while True:
        answer = patient(lambda: client.get(f"/compute/v2.1/servers/{server_id}"))
        if answer is not None and answer.status_code == 404:
            return None
        if answer is not None and answer.status_code == 200:
            server: dict[str, Any] = answer.json()["server"]
            assert server["status"] != "ERROR", f"a false ERROR: {server.get('fault')}"
            if server["status"] == until:
                return server
        assert time.monotonic() < end, f"server {server_id} does not become {until or 'gone'}"
        time.sleep(0.05)


@pytest.mark.contract("N-BOOT")
@pytest.mark.parametrize("point", share_of(BOOT, _ONE_IN), ids=str)
def test_boot_survives(campaign: tuple[Campaign, Client, str], point: Point) -> None:
    made, client, image = campaign
    name = f"boot-{point.process}-{point.name}"
    # As a careful user would: the same key finds what was accepted, or makes it now, never two servers.
    boot = partial(client.post, "/compute/v2.1/servers", client.server_body(image, name),
                   headers={"Idempotency-Key": name})
    answer = made.survive(point, boot)
    server_id = _id_of(answer or boot())
    assert _watch(client, server_id, "ACTIVE") is not None
    listed = client.get(f"/compute/v2.1/servers?name={name}").json()["servers"]
    assert len(listed) == 1
    made.wait_rest()
    client.delete(f"/compute/v2.1/servers/{server_id}")
    assert _watch(client, server_id, None) is None


@pytest.mark.contract("N-DELETE")
@pytest.mark.parametrize("point", share_of(DELETE, _ONE_IN), ids=str)
def test_delete_survives(campaign: tuple[Campaign, Client, str], point: Point) -> None:
    made, client, image = campaign
    server_id = client.create_server(image, f"delete-{point.process}-{point.name}")
    assert _watch(client, server_id, "ACTIVE") is not None
    made.survive(point, lambda: client.delete(f"/compute/v2.1/servers/{server_id}"))
    patient(lambda: client.delete(f"/compute/v2.1/servers/{server_id}"))  # again, as a careful user would
    assert _watch(client, server_id, None) is None
    made.wait_rest()


@pytest.mark.parametrize("point", share_of(REVERT, _ONE_IN), ids=str)
def test_revert_of_a_failed_boot_survives(campaign: tuple[Campaign, Client, str], point: Point) -> None:
    made, client, image = campaign
    body = client.server_body(image, f"revert-{point.process}-{point.name}")
    server_id = _id_of(made.survive(point, lambda: client.post("/compute/v2.1/servers", body), failing=FAILING))
    server = client.wait_server(server_id, "ERROR")
    assert "The fake host was told to fail." in server["fault"]["message"]
    made.disarm()
    made.wait_rest()
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    made.wait_rest()


def test_campaign_size(capsys: pytest.CaptureFixture[str]) -> None:
    """Say how many crash points there are."""
    with capsys.disabled():
        print(f"\ncrash campaign: {len(BOOT) + len(DELETE) + len(REVERT)} points: {len(BOOT)} in boot, "
              f"{len(DELETE)} in delete, {len(REVERT)} in the revert of a failed boot")
    assert len(BOOT) >= 25
    assert len(DELETE) >= 15
    assert len(REVERT) >= 10
