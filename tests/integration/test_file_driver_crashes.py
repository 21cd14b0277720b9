"""kill -9 before everything the file driver does outside of itself: repeated or undone, nothing is left over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostler import ids
from hostler.resources.volume.specs import ConnectionSpec, SnapshotSpec, VolumeSpec
from tests.harness.crashpoints import crash_everywhere
from tests.harness.file_backend import (
    PORTS,
    MakeDriver,
    a_host,
    a_snapshot,
    a_volume,
    ignore,
    io,
    make_driver,
    need_qemu,
    state,
)
from tests.harness.ports import wait_for
from volume.drivers.driver import DiskSource
from volume.drivers.file import nbd
from volume.drivers.file.driver import FileDriver

__all__ = ["make_driver", "need_qemu", "state"]
GIB = 1024**3
Work = Callable[[FileDriver], Any]


@pytest.fixture
def crash(make_driver: MakeDriver, state: Path) -> Callable[[Work], Iterator[FileDriver]]:
    """Crash some work everywhere; gives the driver that a restarted agent has, after each crash."""
    def prepare(work: Work) -> Callable[[], Any]:
        driver = make_driver()
        driver.open()
        return lambda: work(driver)

    def run(work: Work) -> Iterator[FileDriver]:
        steps = []
        for number, event in crash_everywhere(lambda: prepare(work)):
            steps.append(event.replace(str(state), ""))
            print(f"crash {number} before {steps[-1]}")
            restarted = make_driver()
            restarted.open()
            yield restarted
        assert len(steps) >= 3, steps

    return run


@pytest.fixture
def driver(make_driver: MakeDriver) -> FileDriver:
    made = make_driver()
    made.open()
    return made


@pytest.fixture
def image(tmp_path: Path) -> DiskSource:
    path = tmp_path / "image.raw"
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", path, "4M"], check=True)
    source = DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, 4 * 1024**2)
    io(source.options, "write -P 0x44 1M 3M")
    return source


def names(state: Path) -> list[str]:
    """Return the files in the back end's directory but its marks."""
    return sorted(path.name for path in (state / "volumes/local").iterdir() if not path.name.startswith(".hostler-"))


def records(state: Path) -> list[str]:
    return sorted(path.name for path in (state / "volume/exports").iterdir() if path.name != ".ports")


def running(state: Path) -> list[str]:
    return sorted(nbd.find(state / "volume/exports"))


def test_connect_repeated_after_each_crash_gives_one_export_at_one_port(driver: FileDriver, crash: Any, state: Path
                                                                        ) -> None:
    volume, attachment_id = a_volume(1), ids.new_id()
    driver.create_volume(volume, None, ignore)
    answers: list[ConnectionSpec] = []
    for restarted in crash(lambda driver: driver.connect(volume, attachment_id, a_host(), False)):
        found = restarted.find().connections
        assert found in ({}, {attachment_id: volume.id})
        assert running(state) == list(found), "what is recorded is served"
        answers.append(restarted.connect(volume, attachment_id, a_host(), False))
        assert running(state) == [attachment_id]
        assert restarted.connect(volume, attachment_id, a_host(), False) == answers[-1]
        restarted.disconnect(volume.id, attachment_id)
        assert (running(state), records(state), restarted.find().connections) == ([], [], {})
    assert {answer.data["port"] for answer in answers} == {PORTS}


def test_connect_undone_after_each_crash_leaves_nothing(driver: FileDriver, crash: Any, state: Path) -> None:
    volume, attachment_id = a_volume(1), ids.new_id()
    driver.create_volume(volume, None, ignore)
    for restarted in crash(lambda driver: driver.connect(volume, attachment_id, a_host(), False)):
        restarted.disconnect(volume.id, attachment_id)
        assert (running(state), records(state), restarted.find().connections) == ([], [], {})
        restarted.extend_volume(volume, 1)  # nobody has it


def test_disconnect_repeated_after_each_crash_leaves_nothing(driver: FileDriver, crash: Any, state: Path) -> None:
    volume, attachment_id = a_volume(1), ids.new_id()
    driver.create_volume(volume, None, ignore)
    driver.connect(volume, attachment_id, a_host(), False)
    for restarted in crash(lambda driver: driver.disconnect(volume.id, attachment_id)):
        assert running(state) == list(restarted.find().connections), "no process without a record, none missing"
        restarted.disconnect(volume.id, attachment_id)
        assert (running(state), records(state), restarted.find().connections) == ([], [], {})
        restarted.connect(volume, attachment_id, a_host(), False)
    assert running(state) == []


@pytest.mark.parametrize("verb", ["create", "fill", "clone volume", "clone snapshot", "snapshot"])
def test_a_new_disk_is_whole_or_made_again(driver: FileDriver, crash: Any, state: Path, image: DiskSource, verb: str
                                           ) -> None:
    origin, volume = a_volume(1), a_volume(2)
    kept, snapshot = a_snapshot(origin), a_snapshot(origin)
    driver.create_volume(origin, image, ignore)
    driver.create_snapshot(kept, origin, ignore)
    work: dict[str, Work] = {
        "create": lambda driver: driver.create_volume(volume, None, ignore),
        "fill": lambda driver: driver.create_volume(volume, image, ignore),
        "clone volume": lambda driver: driver.clone_volume(volume, origin, ignore),
        "clone snapshot": lambda driver: driver.clone_snapshot(volume, kept, ignore),
        "snapshot": lambda driver: driver.create_snapshot(snapshot, origin, ignore)}
    before = names(state)
    for restarted in crash(work[verb]):
        work[verb](restarted)
        assert len(names(state)) == len(before) + 1
        _check(restarted, verb, volume, snapshot, origin)
        _remove(restarted, verb, volume, snapshot, origin)
        assert names(state) == before
    _check(driver, verb, volume, snapshot, origin)
    _remove(driver, verb, volume, snapshot, origin)
    # The other way: undone right after the crash.
    for restarted in crash(work[verb]):
        _remove(restarted, verb, volume, snapshot, origin)
        assert names(state) == before


def _check(driver: FileDriver, verb: str, volume: VolumeSpec, snapshot: SnapshotSpec, origin: VolumeSpec) -> None:
    if verb == "snapshot":
        io(driver.source_of_snapshot(snapshot, origin).options, "read -P 0 0 1M", "read -P 0x44 1M 3M")
        return
    source = driver.source_of_volume(volume)
    assert source.size_bytes == 2 * GIB
    if verb != "create":
        io(source.options, "read -P 0 0 1M", "read -P 0x44 1M 3M", "read -P 0 4M 4M")


def _remove(driver: FileDriver, verb: str, volume: VolumeSpec, snapshot: SnapshotSpec, origin: VolumeSpec) -> None:
    if verb == "snapshot":
        driver.delete_snapshot(snapshot, origin)
    else:
        driver.delete_volume(volume)


@pytest.mark.parametrize("verb", ["revert", "overwrite", "extend"])
def test_a_change_of_a_volume_leaves_the_old_or_the_new(driver: FileDriver, crash: Any, state: Path,
                                                        image: DiskSource, verb: str) -> None:
    volume = a_volume(1)
    kept = a_snapshot(volume)
    driver.create_volume(volume, image, ignore)
    driver.create_snapshot(kept, volume, ignore)
    io(driver.source_of_volume(volume).options, "write -P 0x55 0 4M")
    work: dict[str, Work] = {
        "revert": lambda driver: driver.revert_to_snapshot(volume, kept, ignore),
        "overwrite": lambda driver: driver.overwrite_volume(volume, image, ignore),
        "extend": lambda driver: driver.extend_volume(volume, 2)}
    before = names(state)
    for restarted in crash(work[verb]):
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", state / "volumes/local" / before[-1]], check=True)
        work[verb](restarted)
        assert names(state) == before
        source = restarted.source_of_volume(volume)
        if verb == "extend":
            assert source.size_bytes == 2 * GIB
            io(source.options, "read -P 0x55 0 4M", "read -P 0 4M 1M")
            # As it was, for the next crash.
            subprocess.run(["qemu-img", "resize", "-q", "--shrink", "-f", "qcow2",
                            source.options["file"]["filename"], "1G"], check=True)
        else:
            io(source.options, "read -P 0 0 1M", "read -P 0x44 1M 3M")
            io(source.options, "write -P 0x55 0 4M")


@pytest.mark.parametrize("verb", ["fill", "clone volume", "snapshot"])
def test_killed_in_the_middle_of_a_copy_its_program_ends_too(driver: FileDriver, make_driver: MakeDriver, state: Path,
                                                             tmp_path: Path, verb: str) -> None:
    """Given a copy under way, when its agent is killed, then qemu-img ends, and a repeat makes it whole."""
    path = tmp_path / "large.raw"
    with path.open("wb") as stream:
        for number in range(384):
            stream.write(bytes([number % 251 + 1]) * 1024**2)
    image = DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, 384 * 1024**2)
    origin, volume = a_volume(1), a_volume(1)
    snapshot = a_snapshot(origin)
    if verb != "fill":
        driver.create_volume(origin, image, ignore)
    work: dict[str, Work] = {
        "fill": lambda driver: driver.create_volume(volume, image, ignore),
        "clone volume": lambda driver: driver.clone_volume(volume, origin, ignore),
        "snapshot": lambda driver: driver.create_snapshot(snapshot, origin, ignore)}
    before = names(state)
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            work[verb](driver)
        os._exit(0)
    [part] = wait_for(lambda: [name for name in names(state) if name.endswith(".part")
                               and (state / "volumes/local" / name).stat().st_blocks > 2048], "a copy under way", 30,
                      every_s=0.001)  # type: ignore[misc]
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, "the copy was over too soon"
    wait_for(lambda: not _writers(part), "the end of the copy", 10)
    restarted = make_driver()
    restarted.open()
    found = restarted.find()
    assert (snapshot.id in found.snapshots) if verb == "snapshot" else (volume.id in found.volumes)
    work[verb](restarted)
    assert [name for name in names(state) if name.endswith(".part")] == []
    assert len(names(state)) == len(before) + 1
    source = restarted.source_of_snapshot(snapshot, origin) if verb == "snapshot" \
        else restarted.source_of_volume(volume)
    io(source.options, "read -P 1 0 1M", "read -P 133 383M 1M")


def _writers(name: str) -> list[str]:
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline")
            if _mentions(path, name.encode())]


def _mentions(path: Path, name: bytes) -> bool:
    try:
        return name in path.read_bytes()
    except OSError:
        return False
