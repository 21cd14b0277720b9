"""The file driver through the tests that every driver passes."""

from __future__ import annotations

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import ConnectorSpec
from tests.harness.file_backend import MakeDriver
from volume.drivers.contract import DriverContract, Reopen, calm, new_volume
from volume.drivers.file.driver import FileDriver


class FileContract(DriverContract):
    """Both formats; the back end is the same after a restart."""

    image_format: str

    @pytest.fixture
    def driver(self, make_driver: MakeDriver) -> FileDriver:
        """A back end of this format."""
        made = make_driver(format=self.image_format)
        made.open()
        return made

    @pytest.fixture
    def reopen(self, driver: FileDriver, make_driver: MakeDriver) -> Reopen:
        """The same back end again."""
        def make() -> FileDriver:
            driver.close()
            made = make_driver(format=self.image_format)
            made.open()
            return made

        return make


class TestRaw(FileContract):
    """Raw files."""

    image_format = "raw"


class TestQcow2(FileContract):
    """qcow2 files, which one program at a time has open."""

    image_format = "qcow2"

    def test_connections_are_the_same_each_time(self, driver: FileDriver, reopen: Reopen,  # type: ignore[override]
                                                connector: ConnectorSpec) -> None:
        """The same with one connection; a second is refused and leaves nothing."""
        volume, first, second = new_volume(), ids.new_id(), ids.new_id()
        driver.create_volume(volume, None, calm)
        connection = driver.connect(volume, first, connector, False)
        with pytest.raises(errors.AgentError):
            driver.connect(volume, second, connector, True)
        assert driver.connect(volume, first, connector, False) == connection
        again = reopen()
        assert again.find().connections == {first: volume.id}
        assert again.connect(volume, first, connector, False) == connection
        for _ in range(2):
            again.disconnect(volume.id, first)
            assert again.find().connections == {}
        again.delete_volume(volume)
