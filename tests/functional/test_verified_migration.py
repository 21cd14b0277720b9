"""Live migration whose disks are compared before the guest goes on (`[libvirt] verify_block_migration`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler.agent.faults import Order
from tests.harness import invariants
from tests.harness.client import Client
from tests.harness.inprocess import Cloud
from tests.harness.ports import wait_for

_SERVERS = "/compute/v2.1/servers"


class World:
    """A cloud of two hosts that compare, and a server."""

    def __init__(self, directory: Path) -> None:
        self.cloud = Cloud(directory, overrides={"libvirt.verify_block_migration": True})
        self.client: Client = self.cloud.start()
        self.server_id = self.client.create_server(self.client.make_image(), "traveller")
        self.client.wait_server(self.server_id, "ACTIVE")

    def host(self) -> str:
        return str((self.client.show(self.server_id) or {})["OS-EXT-SRV-ATTR:host"])

    def target(self) -> str:
        [name] = set(self.cloud.agents) - {self.host()}
        return name

    def disk(self) -> Path:
        """The file at its host."""
        return self.cloud.directory / self.host() / "compute" / "servers" / self.server_id / "disk"

    def act(self, body: dict[str, object]) -> None:
        answer = self.client.post(f"{_SERVERS}/{self.server_id}/action", body,
                                  headers={"OpenStack-API-Version": "compute 2.68"})
        assert answer.status_code == 202, answer.text

    def migrate(self, status: str) -> None:
        self.act({"os-migrateLive": {"host": None, "block_migration": "auto"}})
        wait_for(lambda: self._last() == status, status, 15, every_s=0.05)

    def _last(self) -> str:
        answer = self.client.get(f"/compute/v2.1/os-migrations?instance_uuid={self.server_id}",
                                 headers={"OpenStack-API-Version": "compute 2.80"})
        return str(answer.json()["migrations"][0]["status"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("verified"))
    yield made
    made.cloud.stop()


def test_a_guest_runs_on_once_its_disks_are_found_equal(world: World) -> None:
    target = world.target()
    world.migrate("completed")
    shown = world.client.wait_server(world.server_id, "ACTIVE")
    assert (shown["OS-EXT-SRV-ATTR:host"], shown["OS-EXT-STS:power_state"]) == (target, 1)


def test_a_paused_server_is_compared_and_stays_paused(world: World) -> None:
    world.act({"pause": None})
    world.client.wait_server(world.server_id, "PAUSED")
    target = world.target()
    world.migrate("completed")
    assert world.client.wait_server(world.server_id, "PAUSED")["OS-EXT-SRV-ATTR:host"] == target
    world.act({"unpause": None})
    world.client.wait_server(world.server_id, "ACTIVE")


def test_a_comparison_that_could_not_be_made_is_tried_once_more(world: World) -> None:
    target = world.target()
    world.cloud.agents[target].tools.driver.faults.order(Order("migrate.compare", "fail"))
    world.migrate("completed")
    assert world.client.wait_server(world.server_id, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == target


def test_a_guest_whose_disks_differ_does_not_run_on_and_the_source_keeps_its_disk(world: World) -> None:
    source, target = world.host(), world.target()
    world.disk().write_text("what the copy has not got")
    world.migrate("failed")
    shown = world.client.wait_server(world.server_id, "ERROR")
    assert shown["OS-EXT-SRV-ATTR:host"] == source
    assert "The copy of disk" in shown["fault"]["message"]
    assert world.disk().read_text() == "what the copy has not got"
    assert not (world.cloud.directory / target / "compute" / "servers" / world.server_id).exists()
    world.act({"reboot": {"type": "HARD"}})
    wait_for(lambda: (world.client.show(world.server_id) or {})["status"] == "ACTIVE", "the reboot", 15, every_s=0.05)
    assert world.disk().read_text() == "what the copy has not got"
    assert invariants.database_faults(world.cloud.db) == []
