"""A back end's directory: whether it is there, and that it is the one it was before.

Two marks lie in it. `.hostler-share` holds a UUID: a host that finds the same mark below one of its own directories has
the same files and needs no export. `.hostler-backend` names the one back end that the files belong to: two that
shared a directory would each take the other's volumes for leftovers. The node remembers the UUID, so that a mount
that is missing is told from an empty directory: nothing is ever written into the mount point below it.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from hostler import errors, ids
from hostler.agent.files import sync, write_atomically
from hostler.agent.passage import QEMU_USERS, first_user, make_passage

LOG = logging.getLogger(__name__)
SHARE_MARK = ".hostler-share"
OWNER_MARK = ".hostler-backend"


class Directory:
    """One back end's directory. `own`: it is made when it is not there; `memory`: where the node keeps its UUID."""

    def __init__(self, path: Path, *, owner: str, own: bool, memory: Path) -> None:
        self.path = path
        self._owner = owner
        self._own = own
        self._memory = memory

    def open(self) -> None:
        """Mark it as this back end's; raises AgentError with what the operator must do."""
        if self._own:
            self._make()
        if not self.path.is_dir():
            raise errors.AgentError(reason=f"The directory {self.path} is not there; make it, or mount it.")
        try:
            known = _read(self._memory)
            if known and _read(self.path / SHARE_MARK) != known:
                raise errors.AgentError(reason=self._strange(known))
            owner = _mark(self.path / OWNER_MARK, self._owner)
            if owner != self._owner:
                raise errors.AgentError(
                    reason=f"The directory {self.path} is the back end {owner}'s; give {self._owner} one of its own. "
                           f"(If {owner} is gone for good, remove {OWNER_MARK} there.)")
            share = _mark(self.path / SHARE_MARK, ids.new_id())
            if not known:
                self._memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_atomically(self._memory, share.encode())
                sync(self._memory)
                sync(self._memory.parent)
        except OSError as error:
            raise errors.AgentError(reason=f"The directory {self.path} cannot be used: {error.strerror}.") from error

    def check(self) -> str:
        """Return the UUID; raises AgentError when the directory is not the one that was opened (not mounted?)."""
        try:
            return self._verify()
        except errors.AgentError as error:
            LOG.error("%s", error)
            raise errors.AgentError(reason="The back end's directory is not there; the storage node's log says more."
                                    ) from error

    def measure(self) -> tuple[int, int]:
        """Return (size, free) in bytes of the file system. Raises AgentError with the details."""
        self._verify()
        try:
            status = os.statvfs(self.path)
        except OSError as error:
            raise errors.AgentError(reason=f"The directory {self.path} cannot be measured: {error.strerror}."
                                    ) from error
        return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize

    def _verify(self) -> str:
        try:
            known, share = _read(self._memory), _read(self.path / SHARE_MARK)
        except OSError as error:
            raise errors.AgentError(reason=f"The directory {self.path} cannot be read: {error.strerror}.") from error
        if not share or share != known:
            raise errors.AgentError(reason=self._strange(known))
        return share

    def _make(self) -> None:
        try:
            for directory in (self.path.parent, self.path):
                make_passage(directory, first_user(QEMU_USERS))
        except OSError as error:
            raise errors.AgentError(reason=f"The directory {self.path} cannot be made: {error.strerror}.") from error

    def _strange(self, known: str) -> str:
        return (f"The directory {self.path} is not the one this back end had (its {SHARE_MARK} should hold {known}); "
                f"is it mounted? If it was replaced on purpose, remove {self._memory}.")


def _read(path: Path) -> str:
    """Return a mark's text, empty when there is none."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def _mark(path: Path, text: str) -> str:
    """Put a mark there unless there is one, and return what it says; one of several who try at once wins."""
    found = _read(path)
    if found:
        return found
    path.unlink(missing_ok=True)  # an empty one, of a full disk or a lost power
    temporary = path.with_name(f"{path.name}.{ids.new_id()}")
    try:
        write_atomically(temporary, f"{text}\n".encode(), 0o644)
        sync(temporary)
        with contextlib.suppress(FileExistsError):  # another one's, which counts then
            os.link(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return _read(path)
