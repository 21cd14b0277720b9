"""A server that left VERIFY_RESIZE by another way than its confirmation kept its migration for ever, with the claim and
the files on the host that it came from: an administrator reset its state, or its deletion failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hostler.agent.faults import Order
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

SERVERS = "/compute/v2.1/servers"
V80 = {"OpenStack-API-Version": "compute 2.80"}


def _act(client: Client, server_id: str, action: dict[str, Any]) -> None:
    client.post(f"{SERVERS}/{server_id}/action", action).raise_for_status()


def _migrations(client: Client, server_id: str) -> list[str]:
    found = client.get("/compute/v2.1/os-migrations", params={"instance_uuid": server_id}, headers=V80)
    return [row["status"] for row in found.json()["migrations"]]


def _cores(client: Client) -> int:
    return int(client.get("/compute/v2.1/limits").json()["limits"]["absolute"]["totalCoresUsed"])


def _asides(cloud: Cloud) -> list[Path]:
    return [path for name in cloud.agents for path in (cloud.directory / name / "compute" / "servers").glob("*.old")]


@pytest.fixture(scope="module")
def flavor(client: Client) -> str:
    """A flavor of the default one's disk, with more processors."""
    made = client.post("/compute/v2.1/flavors", {"flavor": {
        "name": "wide", "vcpus": 4, "ram": 512, "disk": 1, "id": "wide"}})
    return str(made.json()["flavor"]["id"])


@pytest.fixture
def moved(client: Client, image: str, flavor: str) -> str:
    """A server that waits to be confirmed."""
    server_id = client.create_server(image, "mover")
    client.wait_server(server_id, "ACTIVE")
    _act(client, server_id, {"resize": {"flavorRef": flavor}})
    client.wait_server(server_id, "VERIFY_RESIZE")
    return server_id


def _delete(cloud: Cloud, client: Client, server_id: str) -> None:
    client.delete(f"{SERVERS}/{server_id}")
    client.wait_gone(server_id)
    wait_for(lambda: not invariants.database_faults(cloud.db), "rest", 20)


def _check_ended(cloud: Cloud, client: Client, server_id: str) -> None:
    assert _migrations(client, server_id) == ["error"]
    assert _cores(client) == 4, "the size that it has now, and no other"
    for agent in cloud.agents.values():
        agent._reconciler.run()
    assert _asides(cloud) == []


@pytest.mark.parametrize("state", ["active", "error"])
def test_a_reset_state_ends_the_move(cloud: Cloud, client: Client, moved: str, state: str) -> None:
    _act(client, moved, {"os-resetState": {"state": state}})
    _check_ended(cloud, client, moved)
    if state == "active":
        assert client.post(f"{SERVERS}/{moved}/action", {"confirmResize": None}).status_code == 409
        _act(client, moved, {"resize": {"flavorRef": "1"}})
        client.wait_server(moved, "VERIFY_RESIZE")
        _act(client, moved, {"confirmResize": None})
        client.wait_server(moved, "ACTIVE")
        assert sorted(_migrations(client, moved)) == ["confirmed", "error"]
    _delete(cloud, client, moved)


def test_a_deletion_that_fails_ends_the_move(cloud: Cloud, client: Client, moved: str) -> None:
    for agent in cloud.agents.values():
        agent.tools.driver.faults.order(Order(step="driver.destroy:before", action="fail", server_id=moved, times=0))
    try:
        client.delete(f"{SERVERS}/{moved}")
        client.wait_server(moved, "ERROR")
    finally:
        for agent in cloud.agents.values():
            agent.tools.driver.faults.clear()
    _check_ended(cloud, client, moved)
    _delete(cloud, client, moved)
