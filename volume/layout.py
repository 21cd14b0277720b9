"""Where the volume agent keeps things on its node; the one place that knows file names.

    <state_path>/volume/attempts.log      see `hostler.agent.fencing`
    <state_path>/volume/images/<sha256>   images that volumes are made from
    <state_path>/volume/work/             copies under way; emptied at start
    <state_path>/volume/backup-store.json which backup store was seen last, see `volume.backups.store`
    <state_path>/volume/momentary/        see `volume.copy_snapshots`
    <state_path>/volume/fake/             the fake driver's
    <state_path>/volumes/<back end>/      a directory back end that names no directory of its own
    <state_path>/backups/                 the backup store, unless [volume] backup_dir names another
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from hostler.agent.files import make_directory


@dataclasses.dataclass(frozen=True)
class Layout:
    """Paths under one agent's state directory."""

    state_path: Path

    @property
    def root(self) -> Path:
        """The agent's own directory."""
        return self.state_path / "volume"

    @property
    def fence(self) -> Path:
        """Journal of the attempts seen."""
        return self.root / "attempts.log"

    @property
    def images(self) -> Path:
        """The image cache."""
        return self.root / "images"

    @property
    def work(self) -> Path:
        """Files that live as long as one call."""
        return self.root / "work"

    @property
    def copy_snapshots(self) -> Path:
        """Notes of snapshots that live as long as one call."""
        return self.root / "momentary"  # the name that earlier releases gave it

    @property
    def fake(self) -> Path:
        """What the fake driver keeps, and the faults ordered of it."""
        return self.root / "fake"

    @property
    def backups(self) -> Path:
        """The backup store when no other is configured."""
        return self.state_path / "backups"

    @property
    def backup_memory(self) -> Path:
        """Which backup store the node saw."""
        return self.root / "backup-store.json"

    def volumes(self, backend: str) -> Path:
        """Directory of a back end that names none."""
        return self.state_path / "volumes" / backend

    def prepare(self) -> None:
        """Make the directories; what a former process was copying is dropped."""
        shutil.rmtree(self.work, ignore_errors=True)
        for directory in (self.root, self.images, self.work, self.copy_snapshots):
            make_directory(directory, 0o700)
