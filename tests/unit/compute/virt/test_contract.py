"""The driver contract on the fake driver, in memory and in files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compute.virt import driver as virt
from compute.virt.contract import DriverContract, MakeGuest, MakeNic, MakeVolume
from compute.virt.fake.driver import FakeDriver
from hostler import ids
from hostler.resources.server.specs import ServerSpec


@pytest.fixture(params=["memory", "files"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeDriver]:
    made = FakeDriver("host1", directory=tmp_path / "domains" if request.param == "files" else None)
    made.open()
    yield made
    made.close()


@pytest.fixture
def make_guest(tmp_path: Path) -> MakeGuest:
    def make() -> virt.Guest:
        server = ServerSpec(id=ids.new_id(), name="a", hostname="a", project_id="p", user_id="u", vcpus=1, ram_mib=64,
                            root_gib=1)
        return virt.Guest(server, (virt.Disk(tmp_path / "disk", "vda"),), (), tmp_path / "console.log")

    return make


@pytest.fixture
def make_volume() -> MakeVolume:
    return lambda: virt.VolumeDisk(ids.new_id(), "vdb", virt.FakeSource())


@pytest.fixture
def make_nic() -> MakeNic:
    return lambda: virt.Nic(ids.new_id(), "fa:16:3e:00:00:01", "bridge", "tap", 1500)


class TestFakeDriver(DriverContract):
    """The shared tests."""


def test_guests_outlive_the_process_that_made_them(tmp_path: Path, make_guest: MakeGuest) -> None:
    first = FakeDriver("host1", directory=tmp_path / "domains")
    first.open()
    guest = make_guest()
    first.create(guest)
    second = FakeDriver("host1", directory=tmp_path / "domains")
    second.open()
    assert second.list_servers() == {guest.server.id: virt.RUNNING}


def test_guests_of_another_agent_are_not_touched(tmp_path: Path, make_guest: MakeGuest) -> None:
    ours, theirs = FakeDriver("host1", directory=tmp_path / "d"), FakeDriver("host2", directory=tmp_path / "d")
    ours.open()
    guest = make_guest()
    ours.create(guest)
    theirs.open()
    assert theirs.list_servers() == {}
    theirs.destroy(guest.server.id)
    assert ours.get_power_state(guest.server.id) == virt.RUNNING
