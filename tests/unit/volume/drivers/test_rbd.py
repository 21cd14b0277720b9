"""The rbd driver on a pool in memory: what it asks of Ceph, and what a crash at any command leaves."""

from __future__ import annotations

import errno
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import ConnectorSpec, VolumeSpec
from tests.harness.stub_ceph import GIB, Killed, StubCeph, StubImage
from volume import qemu_img
from volume.drivers import rbd, rbd_cluster
from volume.drivers.contract import calm, new_snapshot, new_volume
from volume.drivers.driver import DiskSource
from volume.drivers.rbd import RbdDriver
from volume.drivers.rbd_cluster import Cluster, Done

HOST = ConnectorSpec(host="host1")
WORD = DiskSource({"word": "content"}, GIB)


@pytest.fixture
def ceph(monkeypatch: pytest.MonkeyPatch) -> StubCeph:
    made = StubCeph()
    monkeypatch.setattr(qemu_img, "convert", made.convert)
    return made


def new_driver(ceph: StubCeph, *, owner: str = "node1@ceph", max_depth: int = 5) -> RbdDriver:
    cluster = Cluster("volumes", "hostler", "/etc/ceph/ceph.conf", 30, run=ceph.run, watch=ceph.watch)
    made = RbdDriver(cluster, owner=owner, max_depth=max_depth)
    made.open()
    return made


@pytest.fixture
def driver(ceph: StubCeph) -> RbdDriver:
    return new_driver(ceph)


def crash_everywhere(ceph: StubCeph, act: Callable[[RbdDriver], object], then: Callable[[RbdDriver], None]) -> int:
    """Kill `act` before and after each of its commands, and call `then` each time; return how often."""
    times = 0
    for after in (False, True):
        number = 0
        while True:
            driver = new_driver(ceph, max_depth=1)
            ceph.commands.clear()
            ceph.die_at = (number, after)
            ended = True
            try:
                act(driver)
            except Killed:
                ended = False
            ceph.die_at = None
            then(new_driver(ceph, max_depth=1))
            if ended:
                break
            number += 1
            times += 1
    return times


def test_a_create_cut_short_anywhere_is_whole_when_repeated_and_gone_when_deleted(ceph: StubCeph) -> None:
    source, deeper, snapshot = new_volume(), new_volume(), new_snapshot(new_volume())
    driver = new_driver(ceph)
    driver.create_volume(source, DiskSource({"word": "origin"}, GIB), calm)
    driver.clone_volume(deeper, source, calm)
    snapshot = new_snapshot(deeper)
    driver.create_snapshot(snapshot, deeper, calm)
    wanted = new_volume(size_gib=2)
    for act, content in ((lambda driver: driver.create_volume(wanted, WORD, calm), "content"),
                         (lambda driver: driver.clone_volume(wanted, deeper, calm), "origin"),
                         (lambda driver: driver.clone_snapshot(wanted, snapshot, calm), "origin")):
        def repeat(driver: RbdDriver, act: Callable[[RbdDriver], object] = act, content: str = content) -> None:
            act(driver)
            image = ceph.images[f"volume-{wanted.id}"]
            assert (image.size, image.content) == (2 * GIB, content)
            delete(driver)

        def delete(driver: RbdDriver) -> None:
            found = driver.find()
            driver.delete_volume(VolumeSpec(id=wanted.id, backend="", size_gib=0))
            left = driver.find()
            assert set(left.volumes) == {source.id, deeper.id} and left.snapshots == (snapshot.id,)
            assert set(found.volumes) <= {source.id, deeper.id, wanted.id}
            assert set(ceph.images) == {f"volume-{volume.id}" for volume in (source, deeper)} and not ceph.trash
            assert set(ceph.images[f"volume-{deeper.id}"].snapshots) == {f"snapshot-{snapshot.id}"}

        for then in (repeat, delete):
            assert crash_everywhere(ceph, act, then) >= 8


def test_changes_cut_short_anywhere_are_whole_when_repeated(ceph: StubCeph, driver: RbdDriver) -> None:
    volume = new_volume(size_gib=2)
    small = new_snapshot(volume)
    driver.create_volume(new_volume(), None, calm)
    driver.create_volume(VolumeSpec(id=volume.id, backend="", size_gib=1), WORD, calm)
    driver.create_snapshot(small, volume, calm)
    name = f"volume-{volume.id}"
    other = DiskSource({"word": "other"}, GIB)
    for act, outcome in ((lambda driver: driver.extend_volume(volume, 2), (2 * GIB, "content")),
                         (lambda driver: driver.overwrite_volume(volume, other, calm), (2 * GIB, "other")),
                         (lambda driver: driver.revert_to_snapshot(volume, small, calm), (2 * GIB, "content"))):
        def repeat(driver: RbdDriver, act: Callable[[RbdDriver], object] = act,
                   outcome: tuple[int, str] = outcome) -> None:
            act(driver)
            assert (ceph.images[name].size, ceph.images[name].content) == outcome

        assert crash_everywhere(ceph, act, repeat) >= 2


def test_a_delete_cut_short_anywhere_is_done_when_repeated(ceph: StubCeph, driver: RbdDriver) -> None:
    clone = new_volume()

    def make() -> None:
        """Let the last clone of a deleted volume be connected."""
        base = new_volume()
        driver.create_volume(base, WORD, calm)
        driver.clone_volume(clone, base, calm)
        driver.delete_volume(base)
        driver.connect(clone, ids.new_id(), HOST, False)
        assert len(ceph.trash) == 1

    def repeat(driver: RbdDriver) -> None:
        driver.delete_volume(clone)
        assert driver.find().connections == {}
        assert (ceph.images, ceph.trash) == ({}, {}), "nothing is left"
        make()

    make()
    assert crash_everywhere(ceph, lambda driver: driver.delete_volume(clone), repeat) >= 10


def test_who_still_writes_to_a_part_is_shut_out(ceph: StubCeph, driver: RbdDriver) -> None:
    volume = new_volume()
    ceph.images[f"part-{volume.id}"] = StubImage("dead", GIB, watchers=["10.0.0.9:0/1"])
    driver.create_volume(volume, None, calm)
    assert ceph.shut_out == ["10.0.0.9:0/1"]
    assert set(ceph.images) == {f"volume-{volume.id}"} and not ceph.trash


def test_a_volume_that_is_open_is_not_removed(ceph: StubCeph, driver: RbdDriver, monkeypatch: pytest.MonkeyPatch
                                              ) -> None:
    monkeypatch.setattr(rbd, "_BUSY_S", 0.05)
    monkeypatch.setattr(rbd, "_LOOK_S", 0.01)
    volume = new_volume()
    driver.create_volume(volume, None, calm)
    ceph.images[f"volume-{volume.id}"].watchers.append("10.0.0.9:0/1")
    with pytest.raises(errors.AgentError, match="still open"):
        driver.delete_volume(volume)
    assert ceph.shut_out == [] and set(ceph.images) == {f"volume-{volume.id}"}


def test_strangers_images_are_left_alone(ceph: StubCeph, driver: RbdDriver) -> None:
    ceph.images["backup"] = StubImage("foreign", GIB, snapshots={"daily": (GIB, "")})
    ceph.trash["other"] = ("old", StubImage("other", GIB))
    assert driver.find().volumes == () and driver.find().snapshots == ()
    assert set(ceph.images) == {"backup"} and set(ceph.trash) == {"other"}


def test_hosts_are_told_all_they_need(driver: RbdDriver) -> None:
    volume, attachment_id = new_volume(), ids.new_id()
    driver.create_volume(volume, None, calm)
    connection = driver.connect(volume, attachment_id, HOST, False)
    assert (connection.protocol, connection.format) == ("rbd", "raw")
    assert connection.data == {"pool": "volumes", "image": f"volume-{volume.id}", "user": "hostler", "key": "c2VjcmV0",
                               "monitors": ["10.0.0.1:3300", "[fd00::2]:6789"]}
    with pytest.raises(errors.AgentError, match="host2 cannot reach"):
        driver.connect(volume, attachment_id, ConnectorSpec(host="host2", protocols=("file", "nbd")), False)


def test_no_secret_is_in_any_command(ceph: StubCeph, driver: RbdDriver) -> None:
    volume = new_volume()
    driver.create_volume(volume, WORD, calm)
    driver.connect(volume, ids.new_id(), HOST, False)
    assert not any("c2VjcmV0" in word for command in ceph.commands for word in command)


@pytest.mark.parametrize(("status", "reason"), [
    (errno.ETIMEDOUT, "does not answer"), (errno.ENOSPC, "no space left"), (errno.EDQUOT, "no space left"),
    (errno.EPERM, "program rbd failed")])
def test_failures_are_sentences(ceph: StubCeph, driver: RbdDriver, status: int, reason: str) -> None:
    ceph.status = status
    with pytest.raises(errors.AgentError, match=reason):
        driver.create_volume(new_volume(), None, calm)


def test_a_missing_program_and_a_silent_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.AgentError, match="program no-such-rbd is missing"):
        rbd_cluster.run(["no-such-rbd"], 1)
    assert rbd_cluster.run(["sleep", "9"], 0.05) == Done(errno.ETIMEDOUT, "", "no end in 0.05 s")


def test_the_driver_is_built_from_its_options_without_the_cluster() -> None:
    options = SimpleNamespace(**{option.dest: option.default for option in rbd.OPTS})
    made = rbd.build(SimpleNamespace(options=options, node="node1", name="ceph"))  # type: ignore[arg-type]
    assert isinstance(made, RbdDriver)
