"""Disks that came from another host: they build on this host's base, and grow with what is in them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compute import disksizes
from hostler import errors

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
MIB = 1 << 20


def _qemu_img(*words: str | Path) -> str:
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, text=True).stdout


def _info(disk: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_qemu_img("info", "--output", "json", disk))
    return found


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """An overlay with a snapshot inside, whose base is in another directory than the source's."""
    for name in ("there", "here"):
        (tmp_path / name).mkdir()
    base = tmp_path / "there" / ("ab" * 32)
    _qemu_img("create", "-q", "-f", "qcow2", base, "4M")
    disk = tmp_path / "disk"
    _qemu_img("create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, disk, "8M")
    _qemu_img("snapshot", "-c", "kept", disk)
    base.rename(tmp_path / "here" / base.name)
    return disk


@pytest.mark.parametrize("fetched", [True, False])
def test_an_overlay_builds_on_the_copy_of_this_host(moved: Path, tmp_path: Path, fetched: bool) -> None:
    here = tmp_path / "here"
    base = here / ("ab" * 32)
    for _ in range(2):
        disksizes.rebase(moved, base if fetched else None, here)
        assert _info(moved)["backing-filename"] == str(base)
    assert "kept" in _qemu_img("snapshot", "-l", moved)
    base.unlink()
    with pytest.raises(errors.AgentError, match="is gone"):
        disksizes.rebase(moved, None, here)


def test_a_disk_grows_and_never_shrinks(moved: Path, tmp_path: Path) -> None:
    disksizes.rebase(moved, None, tmp_path / "here")
    for size, expected in ((16 * MIB, 16 * MIB), (16 * MIB, 16 * MIB), (MIB, 16 * MIB)):
        disksizes.grow(moved, size)
        assert _info(moved)["virtual-size"] == expected
    assert "kept" in _qemu_img("snapshot", "-l", moved)


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not installed")
def test_an_ephemeral_disk_grows_with_its_file_system(tmp_path: Path) -> None:
    disk, other = tmp_path / "disk.eph0", tmp_path / "other"
    for path in (disk, other):
        with path.open("wb") as stream:
            stream.truncate(8 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
    for path in (disk, other):
        for size in (16 * MIB, 4 * MIB):
            disksizes.grow_formatted(path, size)
            assert path.stat().st_size == 16 * MIB
    blocks = subprocess.run(["dumpe2fs", "-h", disk], check=True, capture_output=True, text=True).stdout
    count, size = (int(next(line for line in blocks.splitlines() if line.startswith(key)).split(":")[1])
                   for key in ("Block count", "Block size"))
    assert count * size == 16 * MIB
