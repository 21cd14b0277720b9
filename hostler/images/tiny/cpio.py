"""Writes a `newc` cpio archive, the format in which Linux takes its initial RAM file system.

Written by hand so that device nodes and root's ownership need no privilege and equal inputs give equal bytes.
Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import dataclasses
import stat

_TIME = 1_700_000_000  # any fixed moment: the archive must not depend on when it was made


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One file: `mode` with its type bits, `data` (a link's target for links), device number for nodes."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(data: bytes, *, executable: bool = False, private: bool = False) -> Entry:
    """Return a regular file; `private` keeps it from everybody but root."""
    mode = 0o600 if private else 0o644
    return Entry(mode=stat.S_IFREG | mode | (0o111 if executable else 0), data=data)


def link(target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(mode=stat.S_IFLNK | 0o777, data=target.encode())


def directory(mode: int = 0o755) -> Entry:
    """Return a directory."""
    return Entry(mode=stat.S_IFDIR | mode)


def character_device(major: int, minor: int) -> Entry:
    """Return a character device node."""
    return Entry(mode=stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: dict[str, Entry]) -> bytes:
    """Return the archive of `entries` (path without leading slash → entry), parents before children."""
    parts = [_record(number, path, entry) for number, (path, entry) in enumerate(sorted(entries.items()), start=1)]
    return b"".join([*parts, _record(0, "TRAILER!!!", Entry(mode=0))])


def _record(number: int, path: str, entry: Entry) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, 0, 0, links, _TIME if entry.mode else 0, len(entry.data), 0, 0, *entry.device,
              len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _pad(header) + _pad(entry.data)


def _pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
