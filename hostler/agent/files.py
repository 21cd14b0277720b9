"""Files that neither a crash nor a power cut leaves half written; everything an agent remembers is written here.

A rename is atomic but not durable: after a power cut the new name may be there without the content, or not at all. So
the content is synced before the rename and the directory after it. That costs a few milliseconds a change.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from hostler import errors


def write_atomically(path: Path, content: bytes, mode: int = 0o600, *, durable: bool = True) -> None:
    """Replace `path` in one step; a reader, a crash or a power cut sees the old content or the new, never a part.

    A power cut may empty what is not `durable`: for what is made again afterwards, and written often.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def write_new(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file that is whole as soon as it is there; raises FileExistsError when somebody else's is."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    write_atomically(temporary, content, mode)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def publish(part: Path, path: Path) -> None:
    """Give a finished file its name, durably."""
    sync(part)
    part.replace(path)
    sync(path.parent)


def append_line(path: Path, line: bytes) -> None:
    """Append `line` durably, whole or not at all (a full disk); the file is made when there is none."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int, *, durable: bool = True) -> None:
    """Make a directory, and its parents, whose name outlives a power cut if it is `durable`; fine when it is there."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        if durable:
            sync(path.parent)
    path.chmod(mode)


def create_private(path: Path) -> None:
    """Make an empty file that nobody else may read; tools that write to it keep its mode."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def make_private(directory: Path) -> None:
    """Make the files in a directory private to their owner; earlier releases left them readable by all."""
    for entry in os.scandir(directory):
        if entry.is_file(follow_symlinks=False) and entry.stat().st_mode & 0o077:
            os.chmod(entry.path, 0o600)


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's names, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DirectoryLock:
    """Keeps a second agent off a state directory; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "agent.lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Lock; raises AgentError naming the process that holds the directory."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise errors.AgentError(reason=f"Another agent (process {holder or 'unknown'}) uses the state directory "
                                           f"{self._path.parent}. Stop it, or set another state_path.") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def check(self) -> None:
        """Raise AgentError when another agent holds the directory, before anything in it is touched."""
        if self._path.parent.is_dir():
            self.take()
            self.release()

    def release(self) -> None:
        """Unlock; fine when it is not locked."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
