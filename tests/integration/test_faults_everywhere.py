"""A database that was gone for a moment ended operations as failed, without a revert: at some statements only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.faultplan import database_faults
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

AWAY_S = 0.15


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Client]]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=2, overrides={
        "quota.instances": -1, "quota.cores": -1, "quota.ram": -1, "quota.ports": -1, "quota.volumes": -1,
        "quota.gigabytes": -1, "fake.vcpus": 500, "database.patience": 0.02, "conductor.retry_delay": 0.05,
        "conductor.poll_interval": 0.05})
    client = cloud.start()
    try:
        yield cloud, client
    finally:
        cloud.stop()


@pytest.fixture(scope="module")
def image(site: tuple[Cloud, Client]) -> str:
    return site[1].make_image()


def _servers(client: Client, name: str) -> list[dict[str, str]]:
    return list(client.get(f"/compute/v2.1/servers/detail?name=^{name}&all_tenants=1").json()["servers"])


def _wait_status(client: Client, name: str, count: int, status: str) -> None:
    def there() -> bool:
        found = [server["status"] for server in _servers(client, name)]
        assert "ERROR" not in found, [server.get("fault") for server in _servers(client, name)]
        return found.count(status) == count
    wait_for(there, f"{count} servers {status}", timeout_s=60, every_s=0.1)


def _create(cloud: Cloud, client: Client, image: str, name: str, count: int) -> None:
    body = client.server_body(image, name, min_count=count, max_count=count)
    assert client.post("/compute/v2.1/servers", body).status_code == 202
    _wait_status(client, name, count, "ACTIVE")


def _rest(cloud: Cloud) -> None:
    def faults() -> list[str]:
        found = invariants.database_faults(cloud.db)
        for name in cloud.agents:
            found += invariants.host_faults(cloud.db, name, cloud.directory / name)
        return found
    wait_for(lambda: not faults(), f"rest; still {faults()}", timeout_s=30, every_s=0.1)


COUNT = 40


def test_servers_are_created_stopped_and_deleted(site: tuple[Cloud, Client], image: str) -> None:
    cloud, client = site
    with database_faults(cloud.db.engine, AWAY_S) as plan:
        _create(cloud, client, image, "made", COUNT)
    print("create", plan.points, plan.fired)
    ids = [server["id"] for server in _servers(client, "made")]
    with database_faults(cloud.db.engine, AWAY_S) as plan:
        for server_id in ids:
            assert client.post(f"/compute/v2.1/servers/{server_id}/action", {"os-stop": None}).status_code == 202
        _wait_status(client, "made", COUNT, "SHUTOFF")
    print("stop", plan.points, plan.fired)
    with database_faults(cloud.db.engine, AWAY_S) as plan:
        for server_id in ids:
            assert client.delete(f"/compute/v2.1/servers/{server_id}").status_code == 204
        wait_for(lambda: not _servers(client, "made"), "all gone", timeout_s=60, every_s=0.1)
    print("delete", plan.points, plan.fired)
    _rest(cloud)
