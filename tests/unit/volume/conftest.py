"""Fixtures of the volume agent's unit tests. One agent serves a whole module: to stop one takes two seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conductor import rpcapi as conductor_rpcapi
from hostler.bus import Bus
from hostler.resources.volume.specs import SnapshotSpec
from tests.harness.volume_agents import Agent, Conductor, load, new_volume
from volume import service
from volume.drivers.fake import FakeDriver
from volume.rpcapi import VolumeAPI


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent with the back ends red and blue, and its conductor."""
    home = tmp_path_factory.mktemp("agent") / "node"
    bus = Bus(load(home))
    conductor = Conductor()
    server = bus.server(conductor_rpcapi.TOPIC, "c1", conductor, conductor_rpcapi.RPC_VERSION)
    server.start()
    made = service.build(load(home), bus)
    made.start()
    yield Agent(made, VolumeAPI(bus), conductor, home)
    assert made.stop()
    server.stop()
    server.wait()
    bus.close()


@pytest.fixture
def agent(serving: Agent) -> Iterator[Agent]:
    """The agent, empty."""
    yield serving
    serving.service.faults.clear()
    serving.conductor.reset()
    for backend in ("red", "blue"):
        driver = serving.fake(backend)
        driver.healthy = True
        _clear(driver)
    for backup_id in serving.store.ids():
        serving.store.abandon(serving.store.path(backup_id))


def _clear(driver: FakeDriver) -> None:
    found, nobody = driver.find(), new_volume()
    for snapshot_id in found.snapshots:
        driver.delete_snapshot(SnapshotSpec(id=snapshot_id, volume_id=nobody.id, size_gib=1), nobody)
    for volume_id in found.volumes:
        driver.delete_volume(new_volume(id=volume_id))
