"""The backup store's directory: which backups are in it, whole or not, and which build on which.

    <directory>/.hostler-backup-store       the store's identity; nodes that see the same directory say the same
    <directory>/<backup id>/manifest.json   what the backup is; written last
    <directory>/<backup id>/index           one record for each block, see `volume.backups.blocks`
    <directory>/<backup id>/<number>.blocks stored blocks
    <directory>/<backup id>.part-<random>/  being written; takes its name when it is whole
    <directory>/<backup id>.gone-<random>/  being removed

The node remembers the identity it saw in the directory: a directory without it counts as a missing mount, so
nothing is written below the mount point and no backup is reported lost.

Two nodes may work on one backup when an operation moved on while the first node was cut off. Each writes into its own
directory, and a new attempt removes what earlier ones left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

from hostler import errors, ids
from hostler.agent.files import write_atomically

LOG = logging.getLogger(__name__)
MARKER = ".hostler-backup-store"
MANIFEST = "manifest.json"
INDEX = "index"
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a backup is. `chain` are the backups it builds on, the full one first; all of them are needed to read it."""

    id: str
    volume_id: str
    size_bytes: int
    block_bytes: int
    chain: tuple[str, ...]
    index_sha256: str
    stored_bytes: int
    object_count: int
    format: int = FORMAT


class BackupStore:
    """One directory of backups; `memory` is the file that records the store's identity."""

    def __init__(self, directory: Path, memory: Path) -> None:
        self._directory = directory
        self._memory = memory
        self._identity: str | None = None
        self._trouble = ""

    def identity(self) -> str | None:
        """Return the store's identity, creating it on first use; None when the directory is unusable.

        Cached after the first read: a heartbeat must not wait for a file server.
        """
        if self._identity is None:
            try:
                self.check()
            except errors.AgentError:
                return None
        return self._identity

    def check(self) -> None:
        """Raise AgentError unless the store is there."""
        try:
            self._identity = self._read_marker()
        except (OSError, errors.AgentError) as error:
            self._identity = None
            if str(error) != self._trouble:
                self._trouble = str(error)
                LOG.error("The backup store %s cannot be used: %s", self._directory, error)
            raise errors.AgentError(reason="The backup store of this node cannot be used.") from error
        self._trouble = ""

    def ids(self) -> list[str]:
        """Return the ids of all backups in the store, complete or not."""
        try:
            names = os.listdir(self._directory)
        except OSError:
            return []
        return sorted({name.partition(".")[0] for name in names if not name.startswith(".")})

    def has(self, backup_id: str) -> bool:
        """Return whether the backup is there and whole."""
        return (self._directory / backup_id / MANIFEST).is_file()

    def path(self, backup_id: str) -> Path:
        """Return the directory of a whole backup."""
        return self._directory / backup_id

    def manifest(self, backup_id: str) -> Manifest:
        """Return what a backup is; raises AgentError when it is missing or unreadable."""
        self.check()
        try:
            values: dict[str, Any] = json.loads((self.path(backup_id) / MANIFEST).read_bytes())
        except FileNotFoundError:
            raise errors.AgentError(reason=f"Backup {backup_id} is not in this node's backup store.") from None
        except ValueError as error:
            raise errors.AgentError(reason=f"The manifest of backup {backup_id} is damaged.") from error
        if values.get("format") != FORMAT:
            raise errors.AgentError(reason=f"Backup {backup_id} is in a format this release cannot read.")
        return Manifest(**{**values, "chain": tuple(values["chain"])})

    def begin(self, backup_id: str) -> Path:
        """Return an empty directory to write a backup into, after removing earlier attempts."""
        self.check()
        self._sweep(backup_id)
        part = self._directory / f"{backup_id}.part-{os.urandom(4).hex()}"
        part.mkdir(mode=0o700)
        return part

    def finish(self, part: Path, manifest: Manifest) -> None:
        """Make a backup out of what was written; a crash leaves it whole or unfinished."""
        write_atomically(part / MANIFEST, json.dumps(dataclasses.asdict(manifest)).encode())
        for path in part.iterdir():
            _sync(path)
        _sync(part)
        part.rename(self.path(manifest.id))
        _sync(self._directory)

    def abandon(self, part: Path) -> None:
        """Remove what was begun."""
        shutil.rmtree(part, ignore_errors=True)

    def delete(self, backup_id: str) -> None:
        """Remove a backup with what broken tries left; raises AgentError when another backup builds on it."""
        self.check()
        if self.has(backup_id):
            heirs = [other for other in self.ids() if other != backup_id and self._builds_on(other, backup_id)]
            if heirs:
                raise errors.AgentError(reason=f"Backup {backup_id} is needed by backup {', '.join(heirs)}.")
        with contextlib.suppress(FileNotFoundError):
            self.path(backup_id).rename(self._directory / f"{backup_id}.gone-{os.urandom(4).hex()}")
        self._sweep(backup_id)

    def _builds_on(self, backup_id: str, other: str) -> bool:
        try:
            return other in self.manifest(backup_id).chain
        except errors.AgentError:
            return False  # not whole, or not readable without anything

    def _sweep(self, backup_id: str) -> None:
        for kind in ("part", "gone"):
            for path in self._directory.glob(f"{backup_id}.{kind}-*"):
                shutil.rmtree(path, ignore_errors=True)

    def _read_marker(self) -> str:
        marker = self._directory / MARKER
        if not marker.exists():
            if self._remembers():
                raise errors.AgentError(reason=f"It has no {MARKER} any more; is it mounted? To begin a new store "
                                               f"there, remove {self._memory}.")
            self._make_marker(marker)
        identity = marker.read_text().strip()
        if not self._remembers(identity):
            write_atomically(self._memory, json.dumps({"directory": str(self._directory), "store": identity}).encode())
        return identity

    def _make_marker(self, marker: Path) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # By a link, so that of two nodes that come at once one wins and both read the same.
        draft = self._directory / f"{MARKER}.{os.urandom(4).hex()}"
        draft.write_text(ids.new_id() + "\n")
        with contextlib.suppress(FileExistsError):
            marker.hardlink_to(draft)
        draft.unlink()

    def _remembers(self, identity: str | None = None) -> bool:
        """Return whether the node has seen a store (this one, if named) in the directory before."""
        try:
            known: dict[str, str] = json.loads(self._memory.read_bytes())
        except FileNotFoundError:
            return False
        return known["directory"] == str(self._directory) and identity in (None, known["store"])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
