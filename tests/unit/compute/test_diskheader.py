"""Sizes and bases as qemu-img wrote them; nothing is read into what is no header."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from compute import diskheader
from compute.virt.driver import Disk


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_size_and_base(tmp_path: Path) -> None:
    base, disk = tmp_path / ("ab" * 32), tmp_path / "disk"
    for command in (("-f", "qcow2", base, "4M"), ("-f", "qcow2", "-F", "qcow2", "-b", base, disk, "8M")):
        subprocess.run(["qemu-img", "create", "-q", *map(str, command)], check=True)
    assert diskheader.size_of(Disk(disk, "vda")) == 8 << 20
    assert diskheader.base_of(disk) == base.name
    assert diskheader.base_of(base) is None


@pytest.mark.parametrize("content", [
    b"", b"QFI\xfb", b"\0" * 512, b"QFI\xfb" + b"\xff" * 508,
    b"QFI\xfb\0\0\0\3" + (1 << 63).to_bytes(8, "big") + b"\0\0\0\5" * 4])
def test_what_is_no_header_has_no_base(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.eph0"
    path.write_bytes(content)
    assert not diskheader.base_of(path)
    assert diskheader.size_of(Disk(path, "vdb", "raw")) == len(content)


def test_a_disk_that_is_gone_has_no_base(tmp_path: Path) -> None:
    assert diskheader.base_of(tmp_path / "disk") is None
