"""Checksums of raw files: holes count as the zeros that are read from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compute.disksums import sum_raw

_MIB = 1 << 20


def write(path: Path, size: int, *blocks: tuple[int, bytes]) -> Path:
    with path.open("wb") as stream:
        os.truncate(stream.fileno(), size)
        for at, block in blocks:
            stream.seek(at)
            stream.write(block)
    return path


def test_zeros_and_holes_are_equal(tmp_path: Path) -> None:
    words = (5 * _MIB + 17, b"words")
    sparse = write(tmp_path / "sparse", 9 * _MIB, words)
    full = write(tmp_path / "full", 9 * _MIB, (0, bytes(9 * _MIB)), words)
    assert full.stat().st_blocks > sparse.stat().st_blocks
    assert sum_raw(sparse) == sum_raw(full)


@pytest.mark.parametrize(("size", "blocks"), [
    (9 * _MIB, ()), (9 * _MIB, ((5 * _MIB + 17, b"sword"),)), (9 * _MIB, ((6 * _MIB + 17, b"words"),)),
    (8 * _MIB, ((5 * _MIB + 17, b"words"),)), (9 * _MIB, ((5 * _MIB + 17, b"words"), (9 * _MIB - 1, b"x"))),
])
def test_any_other_content_differs(tmp_path: Path, size: int, blocks: tuple[tuple[int, bytes], ...]) -> None:
    words = write(tmp_path / "words", 9 * _MIB, (5 * _MIB + 17, b"words"))
    assert sum_raw(write(tmp_path / "other", size, *blocks)) != sum_raw(words)


def test_an_empty_file_and_one_that_is_no_multiple_of_a_block(tmp_path: Path) -> None:
    assert sum_raw(write(tmp_path / "empty", 0)) != sum_raw(write(tmp_path / "odd", _MIB + 1))
    assert sum_raw(write(tmp_path / "odd", _MIB + 1, (_MIB, b"x"))) != sum_raw(write(tmp_path / "zeros", _MIB + 1))
