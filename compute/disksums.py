"""Checksums of raw files by what is read from them, wherever they have holes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_BLOCK = 1 << 20
_ZEROS = bytes(_BLOCK)


def sum_raw(path: Path) -> str:
    """Return the checksum of a raw file's content; holes and blocks of zeros count the same."""
    total = hashlib.sha256()
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        total.update(b"%d" % size)
        at = _next_data(stream.fileno(), 0)
        while at < size:
            stream.seek(at)
            block = stream.read(_BLOCK)
            if block != _ZEROS[:len(block)]:
                total.update(b"%d:" % at + block)
            at = _next_data(stream.fileno(), at + len(block))
    return total.hexdigest()


def _next_data(descriptor: int, at: int) -> int:
    """Return where the first block at or after `at` begins that may hold data; `at` is a multiple of a block's size."""
    try:
        return max(at, os.lseek(descriptor, at, os.SEEK_DATA) // _BLOCK * _BLOCK)
    except OSError:  # ENXIO: nothing but holes from here on
        return os.fstat(descriptor).st_size
