"""The agent's image cache: each image is fetched once, under the name of its SHA-256, and never rewritten.

An entry gets its name after its checksum was verified, so every entry is complete. A file lock per image lets threads
and processes wait while one of them fetches it. Servers' disks are overlays on entries: an entry that a server's spec
names is never trimmed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import requests

from hostler import errors
from hostler.agent.files import create_private, make_private, publish
from hostler.images import download
from hostler.resources.server.specs import ImageSpec

LOG = logging.getLogger(__name__)
FORMATS = ("qcow2", "raw", "iso")


class Images(Protocol):
    """What the agent needs of an image cache."""

    def fetch(self, image: ImageSpec) -> Path:
        """Return the local file of `image`, fetching it when it is not there; raises AgentError."""

    def adopt(self, sha256: str, fetch: Callable[[Path], None]) -> Path:
        """Return the local file of an image that the store has no more; when it is not there, `fetch` makes it, whole.
        Raises what `fetch` raises."""

    def trim(self, used: Collection[str]) -> list[str]:
        """Remove what is unused and too much; `used` holds checksums. Returns the checksums removed."""


class ImageCache:
    """Implements `Images` in one directory. Safe for use by many threads and processes."""

    def __init__(self, directory: Path, *, max_bytes: int, min_age_s: float) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._min_age_s = min_age_s
        if directory.is_dir():
            make_private(directory)

    def fetch(self, image: ImageSpec) -> Path:
        """Return the verified local file of `image`; the store's shared file is preferred to its URL."""
        if image.disk_format not in FORMATS:
            raise errors.AgentError(reason=f"Images of format {image.disk_format} cannot be booted on this host.")
        target = self._directory / image.sha256
        if not self._touch(target):
            with self._locked(image.sha256):
                if not self._touch(target):
                    self._fetch_new(image, target)
        return target

    def adopt(self, sha256: str, fetch: Callable[[Path], None]) -> Path:
        """Return the entry; what an interrupted `fetch` left beside it is there for the next one."""
        target = self._directory / sha256
        if not self._touch(target):
            with self._locked(sha256):
                if not self._touch(target):
                    fetch(target)
                    LOG.info("Image %s came from another host", sha256)
        return target

    def trim(self, used: Collection[str]) -> list[str]:
        """Remove unused entries, the longest unused first, until the unused ones fit the cache's size."""
        self._drop_stale_parts()
        unused = []
        for path in self._directory.iterdir():
            if _is_entry(path) and path.name not in used:
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    unused.append((status.st_mtime, status.st_blocks * 512, path))
        total = sum(size for _, size, _ in unused)
        removed = []
        for used_at, size, path in sorted(unused):
            if total <= self._max_bytes or time.time() - used_at < self._min_age_s:
                break
            with self._locked(path.name):
                path.unlink(missing_ok=True)
            total -= size
            removed.append(path.name)
            LOG.info("Image %s removed from the cache", path.name)
        return removed

    def _fetch_new(self, image: ImageSpec, target: Path) -> None:
        part = target.with_name(f"{target.name}.part")
        started = time.monotonic()
        try:
            part.unlink(missing_ok=True)
            create_private(part)
            with part.open("r+b") as sink, self._source(image) as source:
                digest, size = _copy(source, sink)
            if digest != image.sha256:
                LOG.error("Image %s: got %d bytes with SHA-256 %s, expected %s", image.id, size, digest, image.sha256)
                raise errors.AgentError(reason=f"The content of image {image.id} does not match its checksum.")
            publish(part, target)
        except requests.RequestException as error:
            LOG.error("Image %s cannot be downloaded: %s", image.id, error)
            raise errors.AgentError(reason=f"Image {image.id} could not be downloaded to the host.") from error
        except OSError as error:
            LOG.error("Image %s cannot be stored: %s", image.id, error)
            raise errors.AgentError(reason=f"Image {image.id} could not be stored on the host: "
                                           f"{error.strerror or 'I/O error'}.") from error
        finally:
            part.unlink(missing_ok=True)
        LOG.info("Image %s fetched in %.1f s", image.id, time.monotonic() - started)

    @contextlib.contextmanager
    def _source(self, image: ImageSpec) -> Iterator[Iterator[bytes]]:
        if image.path and os.access(image.path, os.R_OK):
            with Path(image.path).open("rb") as stream:
                yield iter(lambda: stream.read(download.CHUNK), b"")
            return
        if not image.url:
            raise errors.AgentError(reason=f"Image {image.id} cannot be reached from the host.")
        yield download.blocks(image.url)

    def _touch(self, target: Path) -> bool:
        """Note the use of an entry; False when there is none."""
        try:
            os.utime(target)
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        # The lock file stays: removing it would let two holders lock two files of one name.
        with (self._directory / f"{name}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def _drop_stale_parts(self) -> None:
        for part in self._directory.glob("*.part"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > 24 * 3600:
                    part.unlink()
                    LOG.warning("Left-over download %s removed", part.name)


def _is_entry(path: Path) -> bool:
    return path.suffix not in (".lock", ".part") and path.is_file()


def _copy(source: Iterator[bytes], sink: BinaryIO) -> tuple[str, int]:
    """Copy, leaving holes where there are only zeros; return the SHA-256 and the size."""
    digest = hashlib.sha256()
    size = 0
    for chunk in source:
        digest.update(chunk)
        size += len(chunk)
        if chunk.count(0) == len(chunk):
            sink.seek(len(chunk), os.SEEK_CUR)
        else:
            sink.write(chunk)
    sink.truncate(size)
    return digest.hexdigest(), size
