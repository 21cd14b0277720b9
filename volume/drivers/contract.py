"""The tests every driver passes, shipped so that third-party drivers can run them, too.

A test module derives a class from `DriverContract` and offers the fixtures `driver` (opened), `reopen` (returns the
same back end opened by another instance, as after a restart of the agent; the first is closed), `tmp_path` (pytest's)
and, unless the default will do, `connector`. Contents are compared by a digest of their first MiB, read with qemu-img.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import ConnectorSpec, SnapshotSpec, VolumeSpec
from volume import qemu_img
from volume.drivers.driver import DiskSource, Driver
from volume.drivers.fake import CONTENT_MARK

GIB = 1024**3
Reopen = Callable[[], Driver]
STATED = {"storage_protocol", "multiattach", "thin_provisioning", "online_extend", "online_snapshot"}


class DriverContract:
    """What must hold for every driver; each test leaves nothing behind."""

    @pytest.fixture
    def connector(self) -> ConnectorSpec:
        """A host that can be connected."""
        return ConnectorSpec(host="host1", protocols=("file", "nbd", "rbd", "fake"))

    @pytest.fixture(autouse=True)
    def _whole(self, tmp_path: Path) -> Iterator[None]:
        self.tmp_path = tmp_path
        yield

    def test_stats_say_what_types_compare(self, driver: Driver) -> None:
        """Sizes, and the capabilities that the rest of the cloud asks for."""
        stats = driver.get_stats()
        assert 0 < stats.free_gib <= stats.total_gib
        assert stats.capabilities.keys() >= STATED
        assert isinstance(stats.capabilities["online_extend"], list)

    def test_strangers_are_harmless(self, driver: Driver, connector: ConnectorSpec) -> None:
        """What is not there can be removed, and not be read, grown, connected, or copied."""
        stranger, clone = new_volume(), new_volume()
        snapshot = new_snapshot(stranger)
        driver.delete_snapshot(snapshot, stranger)
        driver.delete_volume(stranger)
        driver.disconnect(stranger.id, ids.new_id())
        source = self.pattern("x")
        for act in (lambda: driver.source_of_volume(stranger), lambda: driver.source_of_snapshot(snapshot, stranger),
                    lambda: driver.extend_volume(stranger, 2), lambda: driver.create_snapshot(snapshot, stranger, calm),
                    lambda: driver.connect(stranger, ids.new_id(), connector, False),
                    lambda: driver.clone_volume(clone, stranger, calm),
                    lambda: driver.clone_snapshot(clone, snapshot, calm),
                    lambda: driver.overwrite_volume(stranger, source, calm),
                    lambda: driver.revert_to_snapshot(stranger, snapshot, calm)):
            with pytest.raises(errors.AgentError):
                act()
        driver.delete_volume(clone)
        self.sweep(driver)

    def test_create_and_delete_may_be_repeated(self, driver: Driver) -> None:
        """A second create changes nothing of what was written since, a second delete finds nothing."""
        volume = new_volume()
        for _ in range(2):
            provider = driver.create_volume(volume, None, calm)
            assert isinstance(provider, dict)
        assert volume.id in driver.find().volumes
        assert driver.source_of_volume(volume).size_bytes == GIB
        driver.overwrite_volume(volume, self.pattern("written since"), calm)
        driver.create_volume(volume, None, calm)
        assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("written since"))
        for _ in range(2):
            driver.delete_volume(volume)
            assert volume.id not in driver.find().volumes

    def test_delete_needs_nothing_but_the_id(self, driver: Driver) -> None:
        """Reconciliation removes what it has only the name of."""
        volume = new_volume()
        driver.create_volume(volume, None, calm)
        driver.delete_volume(VolumeSpec(id=volume.id, backend=volume.backend, size_gib=0))
        assert driver.find().volumes == ()

    def test_content_comes_from_the_source(self, driver: Driver) -> None:
        """A volume begins with its source's content and is empty behind it; an empty one holds zeros."""
        volume, empty = new_volume(), new_volume()
        driver.create_volume(volume, self.pattern("one"), calm)
        driver.create_volume(empty, None, calm)
        assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("one"))
        assert self.digest(driver.source_of_volume(volume)) != self.digest(self.pattern("two"))
        assert self.digest(driver.source_of_volume(empty)) == self.digest(self.pattern(""))
        for other in (volume, empty):
            driver.delete_volume(other)

    def test_a_copy_that_is_not_wanted_ends(self, driver: Driver) -> None:
        """What `progress` raises comes out; the volume is not whole then, and a repeat makes it so."""
        volume = new_volume()

        def unwanted(_percent: int) -> None:
            raise errors.StaleAttempt(operation="o", attempt=1, seen=2)

        with pytest.raises(errors.StaleAttempt):
            driver.create_volume(volume, self.pattern("one", size_mib=64), unwanted)
        with pytest.raises(errors.AgentError):
            driver.source_of_volume(volume)
        driver.create_volume(volume, self.pattern("one"), calm)
        assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("one"))
        driver.delete_volume(volume)
        self.sweep(driver)

    def test_what_a_broken_create_left_is_found_and_removed(self, driver: Driver, reopen: Reopen) -> None:
        """After a restart, deleting the volume by id leaves nothing."""
        volume = new_volume()

        def unwanted(_percent: int) -> None:
            raise errors.StaleAttempt(operation="o", attempt=1, seen=2)

        with pytest.raises(errors.StaleAttempt):
            driver.create_volume(volume, self.pattern("one", size_mib=64), unwanted)
        again = reopen()
        again.delete_volume(VolumeSpec(id=volume.id, backend=volume.backend, size_gib=0))
        assert again.find().volumes == ()

    def test_snapshot_keeps_the_content_of_its_moment(self, driver: Driver) -> None:
        """Changes of the volume do not reach it, a repeat does not renew it, revert brings the content back."""
        volume = new_volume()
        driver.create_volume(volume, self.pattern("before"), calm)
        snapshot = new_snapshot(volume)
        driver.create_snapshot(snapshot, volume, calm)
        driver.overwrite_volume(volume, self.pattern("after"), calm)
        driver.create_snapshot(snapshot, volume, calm)
        assert driver.find().snapshots == (snapshot.id,)
        assert self.digest(driver.source_of_snapshot(snapshot, volume)) == self.digest(self.pattern("before"))
        assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("after"))
        for _ in range(2):
            driver.revert_to_snapshot(volume, snapshot, calm)
            assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("before"))
        driver.overwrite_volume(volume, self.pattern("later"), calm)
        assert self.digest(driver.source_of_snapshot(snapshot, volume)) == self.digest(self.pattern("before"))
        for _ in range(2):
            driver.delete_snapshot(snapshot, volume)
            assert driver.find().snapshots == ()
        assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("later"))
        driver.delete_volume(volume)

    def test_several_snapshots_go_in_any_order(self, driver: Driver) -> None:
        """Each keeps its own content whichever of the others is removed."""
        volume = new_volume()
        driver.create_volume(volume, self.pattern("0"), calm)
        snapshots = []
        for number in range(3):
            driver.overwrite_volume(volume, self.pattern(str(number)), calm)
            snapshots.append(new_snapshot(volume))
            driver.create_snapshot(snapshots[-1], volume, calm)
        driver.delete_snapshot(snapshots[1], volume)
        for number in (0, 2):
            assert self.digest(driver.source_of_snapshot(snapshots[number], volume)) == \
                self.digest(self.pattern(str(number)))
        driver.delete_snapshot(snapshots[0], volume)
        assert self.digest(driver.source_of_snapshot(snapshots[2], volume)) == self.digest(self.pattern("2"))
        driver.delete_snapshot(snapshots[2], volume)
        assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("2"))
        driver.delete_volume(volume)
        self.sweep(driver)

    def test_clones_are_whole_when_their_source_is_gone(self, driver: Driver) -> None:
        """Volumes from a snapshot and from a volume, also larger ones; then all they came from is removed."""
        volume = new_volume()
        driver.create_volume(volume, self.pattern("origin"), calm)
        snapshot = new_snapshot(volume)
        driver.create_snapshot(snapshot, volume, calm)
        of_snapshot, of_volume = new_volume(size_gib=2), new_volume(size_gib=2)
        for _ in range(2):
            driver.clone_snapshot(of_snapshot, snapshot, calm)
            driver.clone_volume(of_volume, volume, calm)
        driver.overwrite_volume(volume, self.pattern("changed"), calm)
        driver.delete_snapshot(snapshot, volume)
        driver.delete_volume(volume)
        for clone in (of_snapshot, of_volume):
            content = driver.source_of_volume(clone)
            assert content.size_bytes == 2 * GIB
            assert self.digest(content) == self.digest(self.pattern("origin"))
            driver.overwrite_volume(clone, self.pattern("own"), calm)
            driver.delete_volume(clone)
        self.sweep(driver)

    def test_extend_keeps_the_content(self, driver: Driver) -> None:
        """Grown twice to the same size; snapshots taken before stay and stay small; shrinking is refused."""
        volume = new_volume()
        driver.create_volume(volume, self.pattern("one"), calm)
        snapshot = new_snapshot(volume)
        driver.create_snapshot(snapshot, volume, calm)
        for _ in range(2):
            driver.extend_volume(volume, 3)
            assert driver.source_of_volume(volume).size_bytes == 3 * GIB
        assert self.digest(driver.source_of_volume(volume)) == self.digest(self.pattern("one"))
        assert driver.source_of_snapshot(snapshot, volume).size_bytes == GIB
        grown = VolumeSpec(id=volume.id, backend=volume.backend, size_gib=3)
        driver.revert_to_snapshot(grown, snapshot, calm)
        assert driver.source_of_volume(grown).size_bytes == 3 * GIB
        with pytest.raises(errors.AgentError):
            driver.extend_volume(grown, 1)
        driver.delete_snapshot(snapshot, grown)
        driver.delete_volume(grown)

    def test_overwrite_leaves_nothing_of_before(self, driver: Driver) -> None:
        """A shorter content has zeros behind it."""
        volume = new_volume()
        driver.create_volume(volume, self.pattern("long", size_mib=8), calm)
        for _ in range(2):
            driver.overwrite_volume(volume, self.pattern("short"), calm)
        found = self.digest(driver.source_of_volume(volume), whole=True)
        assert found == self.digest(self.pattern("short"), whole=True)
        driver.delete_volume(volume)

    def test_connections_are_the_same_each_time(self, driver: Driver, reopen: Reopen, connector: ConnectorSpec
                                                ) -> None:
        """Asked again, and after a restart of the agent, the answer is the same; disconnect ends one alone."""
        volume, first, second = new_volume(), ids.new_id(), ids.new_id()
        driver.create_volume(volume, self.pattern("one"), calm)
        connection = driver.connect(volume, first, connector, False)
        other = driver.connect(volume, second, connector, True)
        assert driver.connect(volume, first, connector, False) == connection
        assert driver.connect(volume, second, connector, True) == other
        driver = reopen()
        assert driver.find().connections == {first: volume.id, second: volume.id}
        assert driver.connect(volume, first, connector, False) == connection
        for _ in range(2):
            driver.disconnect(volume.id, first)
            assert driver.find().connections == {second: volume.id}
        driver.delete_volume(volume)
        assert driver.find().connections == {}

    def test_a_second_host_is_connected_beside_the_first(self, driver: Driver, connector: ConnectorSpec) -> None:
        """While a guest goes from one to the other; each is let go alone."""
        volume, first, second = new_volume(), ids.new_id(), ids.new_id()
        driver.create_volume(volume, None, calm)
        driver.connect(volume, first, connector, False)
        target = dataclasses.replace(connector, host="host2")
        connection = driver.connect(volume, second, target, False, first)
        assert driver.connect(volume, second, target, False, first) == connection
        assert driver.find().connections == dict.fromkeys((first, second), volume.id)
        driver.disconnect(volume.id, first)
        assert driver.find().connections == {second: volume.id}
        assert driver.connect(volume, second, target, False) == connection
        driver.delete_volume(volume)

    def test_everything_is_found_after_a_restart(self, driver: Driver, reopen: Reopen) -> None:
        """The agent remembers nothing that the back end does not."""
        volume = new_volume()
        snapshot = new_snapshot(volume)
        driver.create_volume(volume, self.pattern("one"), calm)
        driver.create_snapshot(snapshot, volume, calm)
        driver = reopen()
        found = driver.find()
        assert (found.volumes, found.snapshots, found.connections) == ((volume.id,), (snapshot.id,), {})
        assert self.digest(driver.source_of_snapshot(snapshot, volume)) == self.digest(self.pattern("one"))
        driver.delete_snapshot(snapshot, volume)
        driver.delete_volume(volume)
        self.sweep(driver)

    def pattern(self, text: str, size_mib: int = 1) -> DiskSource:
        """Return a raw disk that begins with a text, as a fake volume does, and when larger than 1 MiB ends with it,
        too; of an empty text, zeros."""
        path, size = self.tmp_path / f"pattern-{size_mib}-{text}", size_mib << 20
        if not path.exists():
            with path.open("wb") as file:
                file.write(CONTENT_MARK + text.encode() + b"\n" if text else b"")
                file.truncate(size)
                if size_mib > 1:
                    file.seek(size - 4096)
                    file.write(text.encode().ljust(4096, b"."))
        return DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, size)

    def digest(self, source: DiskSource, *, whole: bool = False) -> str:
        """Return a digest of a content's first MiB (or, `whole`, of its data: zeros at its end do not count)."""
        path = self.tmp_path / f"read-{os.urandom(4).hex()}"
        qemu_img.convert(source, str(path), "raw", calm)
        with path.open("rb") as file:
            data = file.read(64 << 20).rstrip(b"\0") if whole else file.read(1 << 20)
        path.unlink()
        return hashlib.sha256(data).hexdigest()

    def sweep(self, driver: Driver) -> None:
        """Say that nothing is left."""
        found = driver.find()
        assert (found.volumes, found.snapshots, found.connections) == ((), (), {})


def new_volume(size_gib: int = 1, **values: Any) -> VolumeSpec:
    """Return a volume that nobody has made yet."""
    return VolumeSpec(id=ids.new_id(), backend="back", size_gib=size_gib, **values)


def new_snapshot(volume: VolumeSpec) -> SnapshotSpec:
    """Return a snapshot that nobody has made yet."""
    return SnapshotSpec(id=ids.new_id(), volume_id=volume.id, size_gib=volume.size_gib)


def calm(_percent: int) -> None:
    """A `progress` that wants everything."""
