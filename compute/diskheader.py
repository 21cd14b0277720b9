"""What a disk file says of itself: size and base of a qcow2 one are in its header (docs/interop/qcow2.txt of QEMU).

To ask `qemu-img` costs a process, which a look at every disk of a host cannot afford.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from compute.virt.driver import Disk

_MAGIC: Final = b"QFI\xfb"
_HEADER: Final = struct.Struct(">4sIQIIQ")  # magic, version, offset and length of the base's name, cluster bits, size
_LONGEST_NAME: Final = 1023
_LARGEST_CLUSTER: Final = 1 << 21  # the name is in the first one


def size_of(disk: Disk) -> int:
    """Return how large the guest sees a disk, in bytes."""
    return disk.path.stat().st_size if disk.format == "raw" else _read(disk.path)[2]


def base_of(path: Path) -> str | None:
    """Return the name of the file that a disk builds on, without its directory; None when it stands alone or is gone.

    What a guest wrote to the start of a raw disk may look like a header: the name is to be kept from removal, not to be
    opened.
    """
    try:
        offset, length, _ = _read(path)
        if not 0 < offset < _LARGEST_CLUSTER or not 0 < length <= _LONGEST_NAME:
            return None
        with path.open("rb") as stream:
            stream.seek(offset)
            return Path(os.fsdecode(stream.read(length))).name
    except FileNotFoundError:
        return None


def _read(path: Path) -> tuple[int, int, int]:
    """Return offset and length of the base's name, and the size; zeros of what is no qcow2 file."""
    with path.open("rb") as stream:
        start = stream.read(_HEADER.size)
    if len(start) < _HEADER.size or not start.startswith(_MAGIC):
        return 0, 0, 0
    _, _, offset, length, _, size = _HEADER.unpack(start)
    return offset, length, size
