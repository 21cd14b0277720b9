"""The image store: files named by the SHA-256 of their content, in a directory that api processes may share (NFS).

    <store>/<first 2 digits>/<sha256>   content; never changed once it is there
    <store>/incoming/<random>           being received; its writer holds a lock on it
    <store>/staging/<image id>          staged by a client, not imported yet
    <store>/locks/<first 2 digits>      one lock for all content with these digits

Responsible for bytes only: which record refers to which content is the caller's knowledge, handed in as functions.
The rule that keeps a file and its records together: a record that names content is written, and a file is removed,
only under that content's lock, the removal after asking once more whether a record refers to it. So an upload of
content that another api is just deleting either finds the file and keeps it, or brings its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from pathlib import Path
from typing import BinaryIO, TypeVar

from oslo_config import cfg

from hostler import errors, ids
from hostler.images.hashing import Content, Digests
from hostler.images.signing import UrlSigner

BLOCK_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIB = 1 << 30

Result = TypeVar("Result")
IsReferenced = Callable[[str], bool]


class ImageStore:
    """Receives, serves and removes image content."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._root = Path(conf.image.store_dir or Path(conf.state_path) / "images")
        self._incoming = self._root / "incoming"
        self._staging = self._root / "staging"
        self._locks = self._root / "locks"
        self.max_bytes: int = conf.image.max_size_gib * _GIB
        self._signer = UrlSigner(conf)
        with contextlib.suppress(FileNotFoundError, PermissionError):
            self._root.chmod(0o700)  # earlier releases left it open
        self._pool = futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="image-digest")

    def path_of(self, sha256: str) -> Path:
        """Return where content is, or would be; raises NotFound for anything but a digest."""
        if not _SHA256.fullmatch(sha256):
            raise errors.NotFound(resource="Content", id=sha256)
        return self._root / sha256[:2] / sha256

    def receive(self, blocks: Iterable[bytes], record: Callable[[Content], Result],
                is_referenced: IsReferenced) -> Result:
        """Store what `blocks` yields and return `record(content)`, called with the file in place.

        `record` writes the record that refers to the content. When it raises, the content is removed again unless
        a record refers to it. Whatever `blocks` raises leaves nothing behind. Raises TooLarge past the configured
        size. Needs memory for two blocks.
        """
        with self._new_file() as (file, path):
            content = self._write(file, blocks)
            with self._lock(content.sha256):
                self._put(path, content)
                try:
                    return record(content)
                except BaseException:
                    self._drop(content.sha256, is_referenced)
                    raise

    def open(self, sha256: str) -> BinaryIO:
        """Return the content's file, opened; raises Unavailable when it is not there."""
        try:
            return self.path_of(sha256).open("rb")
        except FileNotFoundError:
            raise errors.Unavailable(part=f"Content {sha256}") from None

    def has(self, sha256: str) -> bool:
        """Return whether the content is in the store."""
        return self.path_of(sha256).is_file()

    def remove(self, sha256: str, is_referenced: IsReferenced) -> bool:
        """Remove content unless a record refers to it; return whether it went. May be repeated.

        Not to be called inside a transaction that removes the record: `is_referenced` must see it committed.
        """
        with self._lock(sha256):
            return self._drop(sha256, is_referenced)

    def stage(self, image_id: str, blocks: Iterable[bytes]) -> int:
        """Keep what `blocks` yields for a later import of the image; return its size in bytes."""
        with self._new_file() as (file, path):
            size = self._write(file, blocks).size_bytes
            self._staging.mkdir(parents=True, exist_ok=True)
            path.replace(self._staging / image_id)
            _sync_directory(self._staging)
            return size

    def staged_blocks(self, image_id: str) -> Iterator[bytes]:
        """Yield the staged data of an image; raises NotFound when there is none."""
        try:
            file = (self._staging / image_id).open("rb")
        except FileNotFoundError:
            raise errors.NotFound(resource="Staged data of image", id=image_id) from None
        with file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def has_staged(self, image_id: str) -> bool:
        """Return whether data is staged for the image."""
        return (self._staging / image_id).is_file()

    def unstage(self, image_id: str) -> None:
        """Remove the staged data of an image; fine when there is none."""
        (self._staging / image_id).unlink(missing_ok=True)

    def signed_url(self, sha256: str, expires_at: int) -> str:
        """Return path and query at which the api serves the content without a token until `expires_at`."""
        return self._signer.sign(sha256, expires_at)

    def verify(self, sha256: str, expires_at: int, signature: str) -> None:
        """Raise Forbidden unless `signed_url` of some process of this cloud made this signature."""
        self._signer.verify(sha256, expires_at, signature)

    def sweep(self, is_referenced: IsReferenced, is_staging: Callable[[str], bool], *, older_than_s: float = 3600,
              dry_run: bool = False) -> list[Path]:
        """Remove leftovers of crashes that are older than `older_than_s`; return their paths.

        Leftovers are incoming files nobody writes, staged data of images that `is_staging(image id)` denies, and
        content that no record refers to.
        """
        before = time.time() - older_than_s
        swept = [path for path in _old_files(self._incoming, before) if _is_abandoned(path)]
        swept += [path for path in _old_files(self._staging, before) if not is_staging(path.name)]
        if not dry_run:
            for path in swept:
                path.unlink(missing_ok=True)
        for folder in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            for path in _old_files(folder, before):
                if _SHA256.fullmatch(path.name) and not is_referenced(path.name) and (
                        dry_run or self.remove(path.name, is_referenced)):
                    swept.append(path)
        return swept

    def _write(self, file: BinaryIO, blocks: Iterable[bytes]) -> Content:
        digests = Digests(self._pool)
        try:
            for block in blocks:
                if digests.size_bytes + len(block) > self.max_bytes:
                    raise errors.TooLarge(reason=f"an image has at most {self.max_bytes} bytes")
                digests.add(block)
                file.write(block)
        finally:
            digests.settle()
        file.flush()
        os.fsync(file.fileno())
        return digests.content()

    @contextlib.contextmanager
    def _new_file(self) -> Iterator[tuple[BinaryIO, Path]]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._incoming.mkdir(exist_ok=True)
        path = self._incoming / ids.new_id()
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield file, path
            finally:
                path.unlink(missing_ok=True)

    def _put(self, path: Path, content: Content) -> None:
        target = self.path_of(content.sha256)
        # A file of another size is a copy that a failing disk cut short: replace it.
        if target.is_file() and target.stat().st_size == content.size_bytes:
            os.utime(target)
            return
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            _sync_directory(self._root)
        path.replace(target)
        _sync_directory(target.parent)

    def _drop(self, sha256: str, is_referenced: IsReferenced) -> bool:
        """Remove content unless it is referred to; the caller holds its lock."""
        if is_referenced(sha256):
            return False
        self.path_of(sha256).unlink(missing_ok=True)
        return True

    @contextlib.contextmanager
    def _lock(self, sha256: str) -> Iterator[None]:
        self._locks.mkdir(parents=True, exist_ok=True)
        with (self._locks / self.path_of(sha256).parent.name).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _old_files(folder: Path, before: float) -> list[Path]:
    """Return the files in a folder last written before a time; those that vanish are left out."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < before:
                found.append(path)
    return found


def _is_abandoned(path: Path) -> bool:
    """Return whether no process writes an incoming file any more."""
    try:
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True
