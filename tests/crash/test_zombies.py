"""A conductor stopped (SIGSTOP) before a write, past its lease; its successor completes the operation; it goes on.

Nothing of what the successor wrote may change. `tests/harness/zombies.py` does the same for every write in one process;
here the processes, the database and the lease are real.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import backends
from tests.harness.client import Client
from tests.harness.crash_campaign import Campaign, Point

pytestmark = [pytest.mark.timeout(600)]

FAILING = Point("agent", "driver.create:before")
REVERT = [Point("conductor", f"{step}:write") for step in (
    "SpawnServer", "revert.AssignHost", "revert.SelectHost")]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Campaign, Client, str]]:
    reason = backends.missing()
    if reason:
        pytest.skip(reason)
    made = Campaign(tmp_path_factory.mktemp("zombies"), successor=True)
    try:
        client = made.start()
        yield made, client, client.make_image()
    finally:
        made.stop()


def _id(made: Campaign, client: Client, image: str, point: Point, failing: Point | None = None) -> tuple[str, int]:
    body = client.server_body(image, f"zombie-{point.name}")
    answer, asleep = made.put_to_sleep(point, lambda: client.post("/compute/v2.1/servers", body), failing=failing)
    assert answer is not None and answer.status_code == 202
    return str(answer.json()["server"]["id"]), asleep


def test_a_boot_is_not_taken_back(campaign: tuple[Campaign, Client, str]) -> None:
    made, client, image = campaign
    server_id, asleep = _id(made, client, image, Point("conductor", "AssignHost:write"))
    client.wait_server(server_id, "ACTIVE")
    before = client.get(f"/compute/v2.1/servers/{server_id}").json()
    made.wake(asleep)
    made.wait_rest()
    assert client.get(f"/compute/v2.1/servers/{server_id}").json() == before
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    made.wait_rest()


@pytest.mark.parametrize("point", REVERT, ids=str)
def test_a_revert_is_not_done_twice(campaign: tuple[Campaign, Client, str], point: Point) -> None:
    made, client, image = campaign
    server_id, asleep = _id(made, client, image, point, FAILING)
    before = client.wait_server(server_id, "ERROR")
    made.disarm()
    made.wake(asleep)
    made.wait_rest()
    assert client.get(f"/compute/v2.1/servers/{server_id}").json()["server"] == before
    client.delete(f"/compute/v2.1/servers/{server_id}")
    client.wait_gone(server_id)
    made.wait_rest()
