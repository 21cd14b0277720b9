"""The driver contract on the fake back end, and what it can be told to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler import errors, ids
from hostler.agent.faults import Order
from hostler.resources.volume.specs import ConnectorSpec
from volume.drivers.contract import DriverContract, Reopen, calm, new_volume
from volume.drivers.driver import DiskSource
from volume.drivers.fake import FakeDriver


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[FakeDriver]:
    made = FakeDriver(tmp_path / "fake")
    made.open()
    yield made
    made.close()


@pytest.fixture
def reopen(tmp_path: Path, driver: FakeDriver) -> Reopen:
    def open_again() -> FakeDriver:
        driver.close()
        again = FakeDriver(tmp_path / "fake")
        again.open()
        return again

    return open_again


class TestFakeDriver(DriverContract):
    """The shared tests."""


def test_it_fails_on_order_and_only_so_often(driver: FakeDriver) -> None:
    volume = new_volume()
    driver.faults.order(Order(step="volume.create_volume:middle", action="fail", reason="no luck"))
    with pytest.raises(errors.AgentError, match="no luck"):
        driver.create_volume(volume, None, calm)
    assert driver.find().volumes == (volume.id,)  # what a broken create leaves
    driver.create_volume(volume, None, calm)
    assert driver.size_gib(volume.id) == 1


def test_away_means_away(driver: FakeDriver) -> None:
    driver.healthy = False
    with pytest.raises(errors.AgentError):
        driver.get_stats()


def test_space_is_taken_and_given_back(tmp_path: Path) -> None:
    driver = FakeDriver(tmp_path, capacity_gib=5)
    driver.open()
    volume = new_volume(size_gib=2)
    driver.create_volume(volume, None, calm)
    assert driver.get_stats().free_gib == 3
    driver.delete_volume(volume)
    assert driver.get_stats().free_gib == 5
    with pytest.raises(errors.AgentError, match="no space"):
        driver.create_volume(new_volume(size_gib=6), None, calm)


def test_guests_write_and_clones_carry_it(driver: FakeDriver) -> None:
    volume, clone = new_volume(), new_volume()
    driver.create_volume(volume, None, calm)
    driver.write(volume.id, "hello")
    driver.clone_volume(clone, volume, calm)
    assert driver.content(clone.id) == "hello"


def test_a_connected_volume_of_another_fake_back_end_can_be_copied(driver: FakeDriver, tmp_path: Path) -> None:
    other = FakeDriver(tmp_path / "other")
    other.open()
    volume, target = new_volume(), new_volume()
    driver.create_volume(volume, None, calm)
    driver.write(volume.id, "moved")
    connection = driver.connect(volume, ids.new_id(), ConnectorSpec(host="node2"), True)
    source = DiskSource({"driver": "raw", "file": {"driver": "fake", **connection.data}}, 1 << 30)
    other.create_volume(target, source, calm)
    assert other.content(target.id) == "moved"
    driver.delete_volume(volume)
    with pytest.raises(errors.AgentError, match="gone"):
        other.create_volume(new_volume(), source, calm)


def test_what_is_kept_is_json(driver: FakeDriver, tmp_path: Path) -> None:
    volume = new_volume()
    driver.create_volume(volume, None, calm)
    assert json.loads((tmp_path / "fake" / "volumes" / f"{volume.id}.json").read_text()) == {
        "size_gib": 1, "content": ""}
