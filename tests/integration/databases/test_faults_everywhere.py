"""Of many operations of one kind, each loses the database or the bus at a point of its own: all of them end well.

At every statement and commit the database is gone for a moment, longer than a transaction is retried; each message of
the bus fails with each error that the libraries raise, before or after it had its effect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.faultplan import BUS_FAULTS, FaultPlan, bus_faults, database_faults
from tests.harness.fixtures import database_url
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

__all__ = ["database_url"]
pytestmark = pytest.mark.timeout(900)
AWAY_S = 0.15
SETTLE_S = 120
# More than an operation passes points, without those of its repetition.
AT_STATEMENTS = 56
AT_MESSAGES = 4 * len(BUS_FAULTS)
Faults = Callable[[], contextlib.AbstractContextManager[FaultPlan]]


class Site:
    """A cloud, its client, and what the tests ask of it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.client: Client = cloud.start()
        self.image = self.client.make_image()

    def servers(self) -> list[dict[str, Any]]:
        """Return all servers."""
        return list(self.client.get("/compute/v2.1/servers/detail").json()["servers"])

    def volumes(self) -> list[dict[str, Any]]:
        """Return all volumes."""
        return list(self.client.get("/volume/v3/volumes/detail").json()["volumes"])

    def wait(self, look: Callable[[], list[dict[str, Any]]], count: int, status: str) -> list[str]:
        """Wait until all resources have a status, never an error; returns their ids."""
        def there() -> bool:
            found = [row["status"] for row in look()]
            assert not [one for one in found if "error" in one.lower()], [row for row in look() if "fault" in row]
            return found == [status] * count

        wait_for(there, f"{count} {status}", SETTLE_S, every_s=0.1)
        return [row["id"] for row in look()]

    def rest(self) -> None:
        """Wait until nothing is locked and records agree with hosts."""
        def faults() -> list[str]:
            found = invariants.database_faults(self.cloud.db)
            for name in self.cloud.agents:
                found += invariants.host_faults(self.cloud.db, name, self.cloud.directory / name)
            return found

        wait_for(lambda: not faults(), f"rest; still {faults()}", 60, every_s=0.1)


@pytest.fixture(scope="module")
def site(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The cloud, on each database; a transaction is retried for less time than the database is gone."""
    limits = dict.fromkeys(("instances", "cores", "ram", "ports", "volumes", "gigabytes"), -1)
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), hosts=3, overrides={
        **{f"quota.{name}": value for name, value in limits.items()}, "fake.vcpus": 500, "fake.disk_gib": 10000,
        "database.connection": database_url, "database.patience": 0.02, "conductor.retry_delay": 0.05,
        # Where messages fail, too, there is one more to lose.
        "conductor.scheduler": "bus" if database_url.startswith("sqlite") else "in-process",
        "conductor.poll_interval": 0.05, "conductor.per_host_limit": 32})
    try:
        yield Site(cloud)
    finally:
        cloud.stop()


@pytest.fixture(params=["database", "message lost", "answer lost"])
def faults(request: pytest.FixtureRequest, site: Site) -> tuple[Faults, int]:
    """How operations are broken, and how many it takes to break one at each point."""
    if request.param != "database" and not site.cloud.db.is_sqlite:
        pytest.skip("the bus is the same on every database")
    if request.param == "database":
        return lambda: database_faults(site.cloud.db.engine, AWAY_S), AT_STATEMENTS
    after = request.param == "answer lost"
    return lambda: bus_faults(site.cloud, BUS_FAULTS, after=after), AT_MESSAGES


def test_servers_are_created_stopped_and_deleted(site: Site, faults: tuple[Faults, int]) -> None:
    broken, count = faults
    client = site.client
    with broken() as plan:
        body = client.server_body(site.image, "made", min_count=count, max_count=count)
        wait_for(lambda: client.post("/compute/v2.1/servers", body).status_code == 202, "accepted", 30)
        ids = site.wait(site.servers, count, "ACTIVE")
    assert plan.fired >= count // 2, (plan.fired, plan.points)
    with broken() as plan:
        for server_id in ids:
            assert client.post(f"/compute/v2.1/servers/{server_id}/action", {"os-stop": None}).status_code == 202
        site.wait(site.servers, count, "SHUTOFF")
    assert plan.fired > 0
    with broken() as plan:
        for server_id in ids:
            assert client.delete(f"/compute/v2.1/servers/{server_id}").status_code == 204
        site.wait(site.servers, 0, "")
    assert plan.fired > 0
    site.rest()


def test_volumes_are_created_attached_detached_and_deleted(site: Site, faults: tuple[Faults, int]) -> None:
    broken, count = faults
    client = site.client
    body = client.server_body(site.image, "owner", min_count=count, max_count=count)
    assert client.post("/compute/v2.1/servers", body).status_code == 202
    servers = site.wait(site.servers, count, "ACTIVE")
    with broken() as plan:
        for number in range(count):
            assert client.post("/volume/v3/volumes", {"volume": {"name": f"v{number}", "size": 1}}).status_code == 202
        volumes = site.wait(site.volumes, count, "available")
    assert plan.fired > 0
    pairs = list(zip(servers, volumes, strict=True))
    with broken() as plan:
        for server_id, volume_id in pairs:
            answer = client.post(f"/compute/v2.1/servers/{server_id}/os-volume_attachments",
                                 {"volumeAttachment": {"volumeId": volume_id}})
            assert answer.status_code == 200, answer.text
        site.wait(site.volumes, count, "in-use")
        wait_for(lambda: not any(row["OS-EXT-STS:task_state"] for row in site.servers()), "attached", SETTLE_S)
    assert plan.fired > 0
    with broken() as plan:
        for server_id, volume_id in pairs:
            answer = client.delete(f"/compute/v2.1/servers/{server_id}/os-volume_attachments/{volume_id}")
            assert answer.status_code == 202, answer.text
        site.wait(site.volumes, count, "available")
    assert plan.fired > 0
    with broken() as plan:
        for volume_id in volumes:
            assert client.delete(f"/volume/v3/volumes/{volume_id}").status_code == 202
        site.wait(site.volumes, 0, "")
    assert plan.fired > 0
    for server_id in servers:
        assert client.delete(f"/compute/v2.1/servers/{server_id}").status_code == 204
    site.wait(site.servers, 0, "")
    site.rest()
