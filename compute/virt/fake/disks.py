"""What is in the files of the fake host's disks: a few words in place of a disk's content."""

from __future__ import annotations

import struct
from pathlib import Path

from compute import diskheader
from compute.virt import driver as virt

_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
_GIB = 1 << 30
_MAGIC = b"QFI\xfb"
_WORDS_AT = 512


def read_words(path: Path) -> str:
    """Return the words of a disk, or of a copy of one."""
    return _words(path).decode()


def write_overlay(disk: Path, base: str) -> None:
    """Write a disk without words that builds on the image `base`."""
    disk.write_bytes(_head(base))


def base_of(guest: virt.Guest) -> str:
    """Return the image that a guest's root disk builds on: its server's, unless the disk names one."""
    named = next((diskheader.base_of(disk.path) for disk in guest.disks if disk.target == virt.ROOT_TARGET), None)
    image = guest.server.image
    return named or ("" if image is None else image.sha256)


def write_copy(disk: Path, copy: Path) -> None:
    """Write a disk's words to `copy`, behind the header of a qcow2: the image store looks at that alone."""
    copy.write_bytes(_head() + (_words(disk) if disk.exists() else b""))


def _words(path: Path) -> bytes:
    content = path.read_bytes()
    return content[_WORDS_AT if content[:4] == _MAGIC else 0:]


def _head(base: str = "") -> bytes:
    """Return the header of a qcow2 of 1 GiB, with the name of its base behind it."""
    name = base.encode()
    header = _HEADER.pack(_MAGIC, 3, _HEADER.size if name else 0, len(name), 16, _GIB, 0, 2, 3 << 16, 1 << 16, 1, 0, 0,
                          0, 0, 0, 4, 104)
    return (header + name).ljust(_WORDS_AT, b"\0")
