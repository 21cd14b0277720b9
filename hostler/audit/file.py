"""A file that only grows, is readable by its owner only, and may be renamed under its writer."""

from __future__ import annotations

import os
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class AuditFile:
    """Appends whole lines. Several processes may write one file; one thread a process uses this."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def append(self, lines: bytes) -> None:
        """Write the lines, to a new file where the present one was renamed or removed; raises OSError."""
        if self._descriptor is not None and not self._in_place():
            os.close(self._descriptor)
            self._descriptor = None
        if self._descriptor is None:
            self._descriptor = os.open(self._path, _FLAGS, 0o600)
            os.fchmod(self._descriptor, 0o600)
        while lines:
            lines = lines[os.write(self._descriptor, lines):]

    def _in_place(self) -> bool:
        assert self._descriptor is not None
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path, follow_symlinks=False))
        except FileNotFoundError:
            return False
