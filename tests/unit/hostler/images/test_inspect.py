"""Inspection: what real tools make is accepted, what lies or reaches outside itself is refused."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostler import errors
from hostler.images.inspect import DISK_FORMATS, Inspection

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
MIB = 1 << 20


def _blocks(data: bytes, size: int = MIB) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start:start + size]


def _inspect(data: bytes, disk_format: str, container_format: str = "bare", size: int = MIB) -> int:
    inspection = Inspection("42", disk_format, container_format)
    assert b"".join(inspection.watch(_blocks(data, size))) == data
    return inspection.virtual_size(len(data))


def _make(path: Path, disk_format: str, *options: str) -> bytes:
    subprocess.run(["qemu-img", "create", "-q", "-f", disk_format, *options, str(path), "10M"], check=True)
    return path.read_bytes()


def qcow2_header(*, version: int = 3, backing_offset: int = 0, features: int = 0, size: int = 10 * MIB) -> bytes:
    """Return the first cluster of a qcow2 image."""
    head = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", version, backing_offset, 9 if backing_offset else 0, 16,
                       size, 0, 1, 0x30000, 0x10000, 1, 0, 0, features, 0, 0, 4, 112)
    return head.ljust(65536, b"\0")


@needs_qemu
@pytest.mark.parametrize(("disk_format", "tool_format", "options"), [
    ("qcow2", "qcow2", ()), ("vmdk", "vmdk", ("-o", "subformat=streamOptimized")),
    ("vmdk", "vmdk", ("-o", "subformat=monolithicSparse")), ("vdi", "vdi", ()), ("vhdx", "vhdx", ()),
    ("vhd", "vpc", ()), ("raw", "raw", ()),
])
@pytest.mark.parametrize("size", [MIB, 4096])
def test_what_qemu_makes_is_accepted(tmp_path: Path, disk_format: str, tool_format: str, options: tuple[str, ...],
                                     size: int) -> None:
    """Given an image of each format, when it is inspected in large or small blocks, then its disk size is known."""
    data = _make(tmp_path / "disk", tool_format, *options)
    assert abs(_inspect(data, disk_format, size=size) - 10 * MIB) <= 65536  # vhd rounds to its geometry


@needs_qemu
def test_every_other_claim_is_refused(tmp_path: Path) -> None:
    """Given a qcow2 image, when it claims to be anything else, then it is refused."""
    data = _make(tmp_path / "disk", "qcow2")
    for claim in set(DISK_FORMATS) - {"qcow2"}:
        with pytest.raises(errors.UnsupportedImage, match=f"is qcow2, not {claim}"):
            _inspect(data, claim)


def test_plain_data_is_no_disk_image() -> None:
    """Given bytes without a format, when they claim one, then they are refused; as raw they are fine."""
    assert _inspect(b"plain" * 1000, "raw") == 5000
    assert _inspect(b"", "raw") == 0
    for claim in ("qcow2", "vmdk", "iso", "vdi", "vhd", "vhdx"):
        for data in (b"plain" * 1000, b"", b"QFI\xfb"):
            with pytest.raises(errors.UnsupportedImage):
                _inspect(data, claim)


@needs_qemu
def test_a_real_backing_file_and_data_file_are_refused(tmp_path: Path) -> None:
    """Given images made by qemu-img that name other files, when they are inspected, then they are refused."""
    _make(tmp_path / "base", "raw")
    backed = _make(tmp_path / "backed", "qcow2", "-b", str(tmp_path / "base"), "-F", "raw")
    apart = _make(tmp_path / "apart", "qcow2", "-o", f"data_file={tmp_path / 'data'}")
    with pytest.raises(errors.UnsupportedImage, match="backing file"):
        _inspect(backed, "qcow2")
    with pytest.raises(errors.UnsupportedImage, match="data_file"):
        _inspect(apart, "qcow2")


@pytest.mark.parametrize(("header", "reason"), [
    (qcow2_header(backing_offset=200), "backing file"),
    (qcow2_header(features=1 << 2), "data_file"),
    (qcow2_header(features=1 << 40), "features"),
    (qcow2_header(version=9), "version"),
    (qcow2_header(size=1 << 63), "disk size"),
    (qcow2_header(size=0), "disk size"),
])
def test_dangerous_qcow2_headers_are_refused(header: bytes, reason: str) -> None:
    """Given a crafted header, when it is inspected, then it is refused with the reason, and no path is told."""
    with pytest.raises(errors.UnsupportedImage, match=reason):
        _inspect(header, "qcow2")


def test_a_container_does_not_hide_a_backing_file() -> None:
    """Given a container format, when the outer file is a dangerous image itself, then it is refused all the same."""
    assert _inspect(b"a tar file" * 100, "qcow2", "ova") == 1000
    with pytest.raises(errors.UnsupportedImage, match="backing file"):
        _inspect(qcow2_header(backing_offset=200), "raw", "ova")


def test_a_vmdk_that_names_files_is_refused() -> None:
    """Given a VMDK descriptor whose extent is another file, when it is inspected, then it is refused."""
    descriptor = (b"# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
                  b'createType="monolithicFlat"\nRW 20480 FLAT "/etc/shadow" 0\n')
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, 20480, 128, 1, 20, 512, 0, 0, 128)
    data = header.ljust(512, b"\0") + descriptor.ljust(512 * 20, b"\0") + bytes(65536)
    with pytest.raises(errors.UnsupportedImage):
        _inspect(data, "vmdk")


def test_a_partitioned_disk_is_raw() -> None:
    """Given a disk with a partition table, when it claims to be raw, then it is accepted with its own size."""
    entry = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xff\xff\xff", 1, 2047)
    data = bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes(MIB - 512)
    assert _inspect(data, "raw") == MIB


def test_a_hybrid_cd_image_is_iso() -> None:
    """Given a CD image that carries a partition table too, when it claims to be iso, then it is accepted."""
    data = bytearray(MIB)
    data[0x8000:0x8006] = b"\x01CD001"
    data[0x8000 + 80:0x8000 + 84] = struct.pack("<I", 512)
    data[0x8000 + 128:0x8000 + 130] = struct.pack("<H", 2048)
    assert _inspect(bytes(data), "iso") == MIB
    data[446:462] = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x17, b"\xff\xff\xff", 1, 2047)
    data[510:512] = b"\x55\xaa"
    assert _inspect(bytes(data), "iso") == MIB


@settings(max_examples=150, deadline=None)
@given(disk_format=st.sampled_from(DISK_FORMATS), prefix=st.sampled_from(
           [b"", b"QFI\xfb\0\0\0\3", b"KDMV\1\0\0\0", b"vhdxfile", b"conectix", b"LUKS\xba\xbe\0\1", b"QED\0",
            b"# Disk DescriptorFile\n"]),
       noise=st.binary(max_size=4096), size=st.integers(1, 5000))
def test_no_bytes_break_the_inspection(disk_format: str, prefix: bytes, noise: bytes, size: int) -> None:
    """Given any bytes in any blocks, when they are inspected, then they are accepted or refused, never else."""
    data = prefix + noise
    try:
        virtual = _inspect(data, disk_format, size=size)
    except errors.UnsupportedImage:
        return
    assert 0 <= virtual < 1 << 63
    if disk_format in ("raw", "ami", "ari", "aki", "ploop"):
        assert virtual == len(data)


@settings(max_examples=100, deadline=None)
@given(cut=st.lists(st.integers(1, 700), min_size=1, max_size=20), offset=st.integers(1, 2**64 - 1))
def test_a_backing_file_is_found_however_the_data_is_cut(cut: list[int], offset: int) -> None:
    """Given a header with a backing file, when it comes in blocks of any sizes, then it is refused."""
    data = qcow2_header(backing_offset=offset)

    def blocks() -> Iterator[bytes]:
        start = 0
        for size in cut:
            yield data[start:start + size]
            start += size
        yield data[start:]

    with pytest.raises(errors.UnsupportedImage):
        list(Inspection("42", "qcow2", "bare").watch(blocks()))
