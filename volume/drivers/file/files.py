"""The disks in a back end's directory: `volume-<id>.qcow2` or `.raw`, `snapshot-<id>.…` likewise.

The format is in the name because it must never be guessed from the content: a guest writes that. What is not whole yet
has `.part` behind its name; it becomes whole by one rename, after its content is on the medium. A copy shares its
blocks with the original where the file system can (FICLONE: xfs, btrfs, NFS 4.2), else it is made by qemu-img.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from hostler import errors
from hostler.agent import programs
from hostler.agent.files import sync
from hostler.agent.programs import Progress
from volume import qemu_img
from volume.drivers.driver import DiskSource

LOG = logging.getLogger(__name__)
GIB = 1024**3
FORMATS = ("qcow2", "raw")
STALL_S = 3600.0  # a copy that gets no per cent further in this time has failed
OLD_S = 24 * 3600.0  # a part that nobody has written to for so long is a leftover
_FICLONE = 0x40049409  # ioctl_ficlone(2)
_NAME = re.compile(r"(volume|snapshot)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.(qcow2|raw))?(\.part)?")


class DiskFiles:
    """The disks of one directory, each known by kind (volume, snapshot) and id."""

    def __init__(self, directory: Path, *, default_format: str, preallocation: str) -> None:
        self._directory = directory
        self.default_format = default_format
        self.preallocation = preallocation

    def locate(self, kind: str, disk_id: str) -> tuple[Path, str] | None:
        """Return (path, format) of a whole disk, or None."""
        for image_format in FORMATS:
            path = self._path(kind, disk_id, image_format)
            if path.exists():
                return path, image_format
        return None

    def get(self, kind: str, disk_id: str) -> tuple[Path, str]:
        """Return (path, format) of a whole disk; raises AgentError when there is none."""
        found = self.locate(kind, disk_id)
        if found is None:
            raise errors.AgentError(reason=f"The file of {kind} {disk_id} is not on its back end.")
        return found

    def source(self, kind: str, disk_id: str) -> DiskSource:
        """Return how to read a whole disk."""
        path, image_format = self.get(kind, disk_id)
        options = {"driver": image_format, "file": {"driver": "file", "filename": str(path)}}
        size_bytes = qemu_img.info(DiskSource(options, 0))["virtual-size"]
        return DiskSource(options, int(size_bytes))

    def create_empty(self, kind: str, disk_id: str, image_format: str, size_bytes: int) -> None:
        """Make a disk that reads as zeros, or put one in the place of what is there."""
        with self._becoming(kind, disk_id, image_format) as part:
            programs.run(["qemu-img", "create", "-q", "-f", image_format, "-o", f"preallocation={self.preallocation}",
                          str(part), str(size_bytes)], timeout_s=STALL_S)

    def copy(self, source: DiskSource, kind: str, disk_id: str, image_format: str, size_bytes: int,
             progress: Progress) -> None:
        """Make a disk of `size_bytes` that begins with the content of `source`, or put one in the place of what is
        there. Raises AgentError, and what `progress` raises."""
        if source.size_bytes > size_bytes:
            raise errors.AgentError(reason=f"The content ({source.size_bytes} bytes) is larger than the volume "
                                           f"({size_bytes} bytes).")
        with self._becoming(kind, disk_id, image_format) as part:
            if not self._share_blocks(source, part, image_format):
                qemu_img.convert(source, str(part), image_format, _patient(progress),
                                 target_options=f"preallocation={self.preallocation}")
            if source.size_bytes < size_bytes:
                self._resize(part, image_format, size_bytes)

    def grow(self, kind: str, disk_id: str, size_bytes: int) -> None:
        """Grow a disk that nobody has open; a larger one is left as it is."""
        path, image_format = self.get(kind, disk_id)
        if self.source(kind, disk_id).size_bytes < size_bytes:
            self._resize(path, image_format, size_bytes)
            sync(path)

    def remove(self, kind: str, disk_id: str) -> None:
        """Remove a disk, whole or not; fine when there is none."""
        for name in (f"{kind}-{disk_id}{suffix}" for suffix in ("", *(f".{item}" for item in FORMATS))):
            for path in (self._directory / name, self._directory / f"{name}.part"):
                path.unlink(missing_ok=True)
        sync(self._directory)

    def ids(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return ids of volumes and of snapshots that take room, whole or not."""
        found: dict[str, set[str]] = {"volume": set(), "snapshot": set()}
        for path in self._directory.iterdir():
            if match := _NAME.fullmatch(path.name):
                found[match[1]].add(match[2])
        return tuple(sorted(found["volume"])), tuple(sorted(found["snapshot"]))

    def drop_leftovers(self) -> None:
        """Remove what broken tries left long ago."""
        for path in self._directory.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                if _NAME.fullmatch(path.name) and time.time() - path.stat().st_mtime > OLD_S:
                    path.unlink()
                    LOG.warning("Left-over copy %s removed", path.name)

    def _path(self, kind: str, disk_id: str, image_format: str) -> Path:
        return self._directory / f"{kind}-{disk_id}.{image_format}"

    @contextlib.contextmanager
    def _becoming(self, kind: str, disk_id: str, image_format: str) -> Iterator[Path]:
        """Give a file to fill, which becomes the disk when the block ends well and is removed otherwise."""
        path = self._path(kind, disk_id, image_format)
        part = path.with_name(f"{path.name}.part")
        try:
            part.unlink(missing_ok=True)  # of a broken try
            # Made before the tools do: they keep its mode, and what tenants store is nobody else's to read.
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            yield part
            sync(part)
            part.replace(path)
            sync(self._directory)
        except OSError as error:
            LOG.error("%s cannot be made: %s", path, error)
            raise errors.AgentError(
                reason="The storage has no space left." if error.errno in (errno.ENOSPC, errno.EDQUOT) else
                f"The file of {kind} {disk_id} could not be made: {error.strerror or 'I/O error'}.") from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _share_blocks(self, source: DiskSource, target: Path, target_format: str) -> bool:
        """Make `target` share the blocks of `source`; False when it cannot: then its content must be copied."""
        # Other people's files (images) are converted instead: what else their format may hold stays behind.
        filename = source.options.get("file", {}).get("filename", "")
        if source.options.get("driver") != target_format or Path(filename).parent != self._directory:
            return False
        try:
            with open(filename, "rb") as original, target.open("r+b") as copy:
                fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        except OSError:
            return False
        return True

    def _resize(self, path: Path, image_format: str, size_bytes: int) -> None:
        programs.run(["qemu-img", "resize", "-q", "-f", image_format, f"--preallocation={self.preallocation}",
                      str(path), str(size_bytes)], timeout_s=STALL_S)


def _patient(progress: Progress) -> Callable[[int], None]:
    """Return `progress` that also gives up on a copy which gets no further."""
    reached, since = -1, time.monotonic()

    def tell(percent: int) -> None:
        nonlocal reached, since
        now = time.monotonic()
        if percent > reached:
            reached, since = percent, now
        elif now - since > STALL_S:
            raise errors.AgentError(reason=f"The copy got no further than {percent} % for {STALL_S / 60:.0f} minutes.")
        progress(percent)

    return tell
