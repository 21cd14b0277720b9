"""The Fernet keys that encrypt tokens: a directory of numbered files, shared by or copied between the api hosts.

`0` is the staged key, known to every host before it is used. The highest number is the primary, which encrypts;
the others only decrypt. A rotation promotes the staged key to primary, stages a new one and drops the oldest, so a
host that has not yet received the newest copy still reads every token. Copy the directory after each rotation.

Keys are readable by their owner only and are written atomically.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cryptography import fernet
from oslo_config import cfg

from hostler import errors

LOG = logging.getLogger(__name__)

STAGED = 0
# How long a process may go without checking whether the directory has changed.
_LOOK_EVERY_S = 2.0


def directory_of(conf: cfg.ConfigOpts) -> Path:
    """Return the directory the configuration names, or the one below the state path."""
    return Path(conf.identity.key_directory or Path(conf.state_path) / "keys")


def ensure(directory: Path) -> bool:
    """Make a staged and a primary key unless there are keys; returns whether any was made."""
    with _exclusive(directory):
        if _numbers(directory):
            return False
        _write_key(directory, 1)
        _write_key(directory, STAGED)
        return True


def rotate(directory: Path, *, max_active: int) -> int:
    """Promote the staged key, stage a new one, keep at most `max_active` keys; returns the new primary's number.

    A crash leaves a usable directory, which the next rotation completes. Rotate no more often than the token's
    lifetime divided by `max_active - 2`, or tokens expire early.
    """
    with _exclusive(directory):
        numbers = _numbers(directory)
        primary = max(numbers, default=0) + 1
        if STAGED in numbers:
            os.replace(directory / str(STAGED), directory / str(primary))
        else:
            _write_key(directory, primary)
        _write_key(directory, STAGED)
        active = sorted(number for number in _numbers(directory) if number != STAGED)
        for number in active[:max(0, len(active) + 1 - max(3, max_active))]:
            (directory / str(number)).unlink()
        return primary


class KeyRing:
    """The keys as this process sees them; reloaded when the directory changes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._multi: fernet.MultiFernet | None = None
        self._seen_ns = -1
        self._look_at = 0.0

    def encrypt(self, payload: bytes) -> str:
        """Return the payload as text under the primary key; raises Unavailable when there is no key."""
        return self._current().encrypt(payload).decode().rstrip("=")

    def decrypt(self, text: str) -> bytes | None:
        """Return the payload, or None when no key opens the text."""
        padded = text.encode("ascii", "replace") + b"=" * (-len(text) % 4)
        try:
            return self._current().decrypt(padded)
        except fernet.InvalidToken:
            return None

    def _current(self) -> fernet.MultiFernet:
        now = time.monotonic()
        multi = self._multi
        if multi is not None and now < self._look_at:
            return multi
        with self._lock:
            changed_ns = self._changed_ns()
            if self._multi is None or changed_ns != self._seen_ns:
                self._multi = self._load()
                self._seen_ns = changed_ns
            self._look_at = now + _LOOK_EVERY_S
            return self._multi

    def _changed_ns(self) -> int:
        try:
            return self._directory.stat().st_mtime_ns
        except FileNotFoundError:
            return -1

    def _load(self) -> fernet.MultiFernet:
        keys = []
        for number in sorted(_numbers(self._directory), reverse=True):
            try:
                keys.append(fernet.Fernet((self._directory / str(number)).read_bytes().strip()))
            except FileNotFoundError:
                continue  # rotated away between listing and reading
            except ValueError:
                LOG.error("key %s of the token key directory is malformed and ignored", number)
        if not keys:
            LOG.error("the token key directory %s holds no key: run the bootstrap or copy the keys", self._directory)
            raise errors.Unavailable(part="The identity service's key directory")
        return fernet.MultiFernet(keys)


def _numbers(directory: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(directory) if name.isascii() and name.isdigit()]
    except FileNotFoundError:
        return []


def _write_key(directory: Path, number: int) -> None:
    temporary = directory / f".{number}.new"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(fernet.Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, directory / str(number))


@contextlib.contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
