"""The file driver where files can share blocks (reflinks on xfs): copies are quick and take no room."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.file_backend import (
    MakeDriver,
    a_snapshot,
    a_volume,
    ignore,
    make_driver,
    need_qemu,
    state,
)
from volume import qemu_img
from volume.drivers.driver import DiskSource

__all__ = ["make_driver", "need_qemu", "state"]


@pytest.mark.parametrize("image_format", ["qcow2", "raw"])
def test_copies_on_xfs_take_no_room(make_driver: MakeDriver, tmp_path: Path, image_format: str) -> None:
    """Given a file system of 300 MB and a volume of 90, when it is copied five times, then all of them fit."""
    disk, mount = tmp_path / "xfs", tmp_path / "mount"
    mount.mkdir()
    with disk.open("wb") as stream:
        stream.truncate(300 * 1024**2)
    for command in (["mkfs.xfs", "-q", "-m", "reflink=1", str(disk)], ["mount", "-o", "loop", str(disk), str(mount)]):
        if shutil.which(command[0]) is None or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip(f"no xfs here: {command[0]} is missing or fails")
    try:
        driver = make_driver(directory=str(mount), format=image_format)
        driver.open()
        content = tmp_path / "random"
        content.write_bytes(os.urandom(90 * 1024**2))
        volume = a_volume(1)
        snapshot = a_snapshot(volume)
        driver.create_volume(volume, DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(content)}},
                                                90 * 1024**2), ignore)
        driver.create_snapshot(snapshot, volume, ignore)
        clones = [a_volume(2) for _ in range(4)]
        for number, clone in enumerate(clones):
            if number % 2:
                driver.clone_volume(clone, volume, ignore)
            else:
                driver.clone_snapshot(clone, snapshot, ignore)
        driver.delete_volume(volume)
        for clone in clones:
            raw = tmp_path / "out.raw"
            qemu_img.convert(driver.source_of_volume(clone), str(raw), "raw", ignore)
            with raw.open("rb") as stream:
                assert stream.read(90 * 1024**2) == content.read_bytes()
    finally:
        subprocess.run(["umount", str(mount)], check=False)
