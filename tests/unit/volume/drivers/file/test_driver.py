"""The file driver with real qemu-img: contents, formats, what it refuses, what broken tries leave."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from hostler import errors, ids
from hostler.resources.volume.specs import SnapshotSpec
from tests.harness.file_backend import MakeDriver, a_host, a_snapshot, a_volume, ignore, io
from volume.drivers.driver import DiskSource
from volume.drivers.file import files as file_module
from volume.drivers.file.driver import FileDriver

GIB = 1024**3
FORMATS = ["qcow2", "raw"]


@pytest.fixture
def directory(state: Path) -> Path:
    return state / "volumes/local"


@pytest.fixture
def image(tmp_path: Path) -> DiskSource:
    """A raw image of 3 MiB with a pattern at its end."""
    path = tmp_path / "image.raw"
    subprocess.run(["qemu-img", "create", "-q", "-f", "raw", path, "3M"], check=True)
    io({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, "write -P 0x11 2M 1M")
    return DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}}, 3 * 1024**2)


def parts(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("image_format", FORMATS)
def test_an_empty_volume_takes_no_room_and_reads_as_zeros(make_driver: MakeDriver, directory: Path,
                                                          image_format: str) -> None:
    driver = make_driver(format=image_format)
    driver.open()
    volume = a_volume(2)
    assert driver.create_volume(volume, None, ignore) == {"format": image_format}
    path = directory / f"volume-{volume.id}.{image_format}"
    assert path.stat().st_blocks * 512 < 1024**2
    assert path.stat().st_mode & 0o777 == 0o600
    source = driver.source_of_volume(volume)
    assert source.size_bytes == 2 * GIB
    io(source.options, "read -P 0 0 1M", "read -P 0 2047M 1M")
    assert driver.find().volumes == (volume.id,)
    assert driver.get_stats().capabilities["multiattach"] == (image_format == "raw")


@pytest.mark.parametrize("image_format", FORMATS)
def test_content_comes_from_images_snapshots_and_volumes(make_driver: MakeDriver, directory: Path, image: DiskSource,
                                                         image_format: str) -> None:
    driver = make_driver(format=image_format)
    driver.open()
    volume, told = a_volume(1), []
    driver.create_volume(volume, image, told.append)
    assert told == sorted(told)
    io(driver.source_of_volume(volume).options, "read -P 0 0 2M", "read -P 0x11 2M 1M", "read -P 0 3M 1M")

    snapshot = a_snapshot(volume)
    driver.create_snapshot(snapshot, volume, ignore)
    io(driver.source_of_volume(volume).options, "write -P 0x22 0 1M")
    other, larger = a_volume(1), a_volume(3)
    driver.clone_snapshot(larger, snapshot, ignore)
    driver.clone_volume(other, volume, ignore)
    assert driver.source_of_volume(larger).size_bytes == 3 * GIB
    io(driver.source_of_volume(larger).options, "read -P 0 0 1M", "read -P 0x11 2M 1M", "read -P 0 2G 1M")
    io(driver.source_of_volume(other).options, "read -P 0x22 0 1M", "read -P 0x11 2M 1M")

    driver.extend_volume(volume, 2)
    driver.revert_to_snapshot(volume, snapshot, ignore)
    assert driver.source_of_volume(volume).size_bytes == 2 * GIB
    io(driver.source_of_volume(volume).options, "read -P 0 0 1M", "read -P 0x11 2M 1M")
    driver.delete_snapshot(snapshot, volume)
    io(driver.source_of_volume(larger).options, "read -P 0x11 2M 1M")
    for item in (volume, other, larger):
        driver.delete_volume(item)
        driver.delete_volume(item)
    assert [path.name for path in directory.iterdir() if not path.name.startswith(".")] == []


def test_overwriting_leaves_zeros_behind_the_new_content(driver: FileDriver, image: DiskSource) -> None:
    volume = a_volume(1)
    driver.create_volume(volume, None, ignore)
    io(driver.source_of_volume(volume).options, "write -P 0x33 0 8M")
    for _ in range(2):
        assert driver.overwrite_volume(volume, image, ignore) == {"format": "qcow2"}
        source = driver.source_of_volume(volume)
        assert source.size_bytes == GIB
        io(source.options, "read -P 0 0 2M", "read -P 0x11 2M 1M", "read -P 0 3M 5M")


def test_the_type_may_choose_the_format_and_the_file_keeps_it(make_driver: MakeDriver, directory: Path) -> None:
    driver = make_driver()
    driver.open()
    volume = a_volume(1, extra_specs={"hostler:format": "raw"})
    assert driver.create_volume(volume, None, ignore) == {"format": "raw"}
    again = make_driver(format="qcow2")
    again.open()
    assert again.create_volume(volume, None, ignore) == {"format": "raw"}
    # What a guest wrote into a raw disk must not turn it into a qcow2 that reaches elsewhere.
    path = directory / f"volume-{volume.id}.raw"
    with path.open("r+b") as disk:
        disk.write(b"QFI\xfb" + b"\0\0\0\3" + b"\xff" * 64)
    again.extend_volume(volume, 2)
    assert again.source_of_volume(volume).size_bytes == 2 * GIB
    with pytest.raises(errors.AgentError, match=r"hostler:format 'vmdk' is none of qcow2, raw"):
        driver.create_volume(a_volume(1, extra_specs={"hostler:format": "vmdk"}), None, ignore)


@pytest.mark.parametrize("image_format", FORMATS)
def test_preallocated_volumes_take_their_room_at_once(make_driver: MakeDriver, image: DiskSource, directory: Path,
                                                      image_format: str) -> None:
    driver = make_driver(format=image_format, preallocation="falloc")
    driver.open()
    assert driver.get_stats().capabilities["thin_provisioning"] is False
    for source in (None, image):
        volume = a_volume(1)
        driver.create_volume(volume, source, ignore)
        path = directory / f"volume-{volume.id}.{image_format}"
        assert path.stat().st_blocks * 512 >= GIB
        driver.delete_volume(volume)


def test_what_is_attached_is_neither_copied_nor_replaced_nor_grown(driver: FileDriver, image: DiskSource) -> None:
    volume = a_volume(1)
    driver.create_volume(volume, None, ignore)
    snapshot = a_snapshot(volume)
    driver.create_snapshot(snapshot, volume, ignore)
    attachment_id = ids.new_id()
    driver.connect(volume, attachment_id, a_host(), False)
    attached = a_volume(1, attached=True)
    driver.create_volume(attached, None, ignore)
    for held in (volume, attached):
        for act in (lambda held=held: driver.create_snapshot(a_snapshot(held), held, ignore),
                    lambda held=held: driver.clone_volume(a_volume(1), held, ignore),
                    lambda held=held: driver.revert_to_snapshot(held, snapshot, ignore),
                    lambda held=held: driver.overwrite_volume(held, image, ignore)):
            with pytest.raises(errors.AgentError, match="while a server has it; detach it first"):
                act()
    with pytest.raises(errors.AgentError, match="QEMU cannot grow such a disk while it is in use"):
        driver.extend_volume(volume, 2)
    driver.extend_volume(attached, 2)  # its host grows the file it has open
    assert driver.find().snapshots == (snapshot.id,)
    driver.disconnect(volume.id, attachment_id)
    driver.extend_volume(volume, 2)
    assert driver.source_of_volume(volume).size_bytes == 2 * GIB


def test_a_smaller_volume_than_its_source_is_refused(driver: FileDriver, directory: Path) -> None:
    source = a_volume(2)
    driver.create_volume(source, None, ignore)
    with pytest.raises(errors.AgentError, match="larger than the volume"):
        driver.clone_volume(a_volume(1), source, ignore)
    with pytest.raises(errors.AgentError, match="cannot shrink"):
        driver.extend_volume(source, 1)
    assert driver.find().volumes == (source.id,)


def test_a_full_file_system_is_told_and_nothing_is_left(make_driver: MakeDriver, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=False,
                      capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        driver = make_driver(directory=str(small))
        driver.open()
        content = tmp_path / "random"
        content.write_bytes(os.urandom(16 * 1024**2))
        source = DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(content)}}, 16 * 1024**2)
        with pytest.raises(errors.AgentError, match=r"^The storage has no space left\.$"):
            driver.create_volume(a_volume(1), source, ignore)
        assert driver.find().volumes == ()
        assert parts(small) == []
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_a_copy_that_is_no_longer_wanted_ends_without_a_trace(driver: FileDriver, image: DiskSource,
                                                              directory: Path) -> None:
    def refuse(_percent: int) -> None:
        raise errors.StaleAttempt(operation="o", attempt=1, seen=2)

    with pytest.raises(errors.StaleAttempt):
        driver.create_volume(a_volume(1), image, refuse)
    assert driver.find().volumes == ()
    assert parts(directory) == []


def test_a_copy_that_gets_no_further_fails(driver: FileDriver, image: DiskSource, directory: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "STALL_S", -1.0)

    def stall(source: DiskSource, target: str, target_format: str, progress: object, **_rest: object) -> None:
        for _ in range(2):
            progress(40)  # type: ignore[operator]

    monkeypatch.setattr(file_module.qemu_img, "convert", stall)
    with pytest.raises(errors.AgentError, match="got no further than 40 %"):
        driver.create_volume(a_volume(1), image, ignore)
    assert parts(directory) == []


def test_leftovers_are_found_replaced_and_removed(make_driver: MakeDriver, driver: FileDriver, image: DiskSource,
                                                  directory: Path) -> None:
    fresh, old, snapshot_id = a_volume(1), a_volume(1), ids.new_id()
    for name in (f"volume-{fresh.id}.qcow2.part", f"volume-{old.id}.raw.part", f"snapshot-{snapshot_id}.qcow2.part"):
        (directory / name).write_bytes(b"half")
    (directory / "volume-of-somebody.part").touch()
    (directory / f"volume-{ids.new_id().upper()}.qcow2").touch()
    assert driver.find().volumes == tuple(sorted((fresh.id, old.id)))
    assert driver.find().snapshots == (snapshot_id,)
    with pytest.raises(errors.AgentError, match="not on its back end"):
        driver.source_of_volume(fresh)
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(directory / f"volume-{old.id}.raw.part", (long_ago, long_ago))
    os.utime(directory / "volume-of-somebody.part", (long_ago, long_ago))
    again = make_driver()
    again.open()
    assert again.find().volumes == (fresh.id,)
    assert (directory / "volume-of-somebody.part").exists(), "not ours to remove"
    again.create_volume(fresh, image, ignore)
    again.delete_snapshot(SnapshotSpec(id=snapshot_id, volume_id=fresh.id, size_gib=0), fresh)
    assert parts(directory) == ["volume-of-somebody.part"]
    io(again.source_of_volume(fresh).options, "read -P 0x11 2M 1M")


def test_blocks_are_shared_where_the_file_system_can(driver: FileDriver, image: DiskSource,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    volume = a_volume(1)
    driver.create_volume(volume, image, ignore)
    asked = []

    def clone(target: int, request: int, original: int) -> None:
        asked.append(request)
        os.sendfile(target, original, 0, os.fstat(original).st_size)

    monkeypatch.setattr(file_module.fcntl, "ioctl", clone)
    monkeypatch.setattr(file_module.qemu_img, "convert", lambda *_a, **_k: pytest.fail("copied"))
    larger, snapshot = a_volume(2), a_snapshot(volume)
    driver.clone_volume(larger, volume, ignore)
    driver.create_snapshot(snapshot, volume, ignore)
    assert len(asked) == 2
    monkeypatch.undo()
    assert driver.source_of_volume(larger).size_bytes == 2 * GIB
    io(driver.source_of_volume(larger).options, "read -P 0x11 2M 1M")
    io(driver.source_of_snapshot(snapshot, volume).options, "read -P 0x11 2M 1M")


def test_without_its_directory_every_verb_says_so_and_nothing_is_written(driver: FileDriver, directory: Path,
                                                                         image: DiskSource) -> None:
    volume = a_volume(1)
    driver.create_volume(volume, None, ignore)
    directory.rename(directory.with_name("away"))
    directory.mkdir()
    for act in (lambda: driver.create_volume(a_volume(1), image, ignore), lambda: driver.delete_volume(volume),
                lambda: driver.extend_volume(volume, 2), driver.find, lambda: driver.source_of_volume(volume),
                lambda: driver.create_snapshot(a_snapshot(volume), volume, ignore),
                lambda: driver.connect(volume, ids.new_id(), a_host(), False), driver.get_stats):
        with pytest.raises(errors.AgentError):
            act()
    assert list(directory.iterdir()) == []
