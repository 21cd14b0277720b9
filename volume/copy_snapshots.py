"""Snapshots that live as long as one copy of a volume in use; only this agent knows of them.

Each is noted in a file before it is made, so an agent that was killed removes it later, and no unknown snapshot
is left to guess about.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

from hostler.agent.files import write_atomically
from hostler.resources.volume.specs import SnapshotSpec, VolumeSpec
from volume.backends import Backends
from volume.drivers.driver import Driver
from volume.work import Workbench

LOG = logging.getLogger(__name__)


class CopySnapshots:
    """Makes and removes them; the caller holds the volume's lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextlib.contextmanager
    def taken(self, driver: Driver, volume: VolumeSpec, mark: str) -> Iterator[SnapshotSpec]:
        """Hold a snapshot of the volume's present content; `mark` is its id. Raises AgentError."""
        snapshot = SnapshotSpec(id=mark, volume_id=volume.id, size_gib=volume.size_gib)
        driver.delete_snapshot(snapshot, volume)  # of a try that was cut short: its content is of another moment
        write_atomically(self._note(volume, mark), json.dumps(volume.to_wire()).encode())
        try:
            provider = driver.create_snapshot(snapshot, volume, lambda _percent: None)
            yield SnapshotSpec(id=mark, volume_id=volume.id, size_gib=volume.size_gib, provider=provider)
        finally:
            self._remove(driver, volume, snapshot)

    def ids(self) -> set[str]:
        """Return the ids of those that may exist."""
        return {note.stem.partition("_")[0] for note in self._directory.glob("*.json")}

    def sweep(self, backends: Backends, bench: Workbench) -> None:
        """Remove what killed agents left. Raises AgentError when a back end is not available."""
        for note in self._directory.glob("*.json"):
            _, _, volume_id = note.stem.partition("_")
            with bench.work_on(volume_id, None):
                if note.exists():
                    volume = VolumeSpec.from_wire(json.loads(note.read_bytes()))
                    LOG.warning("A snapshot made for a copy of volume %s was left; removing it", volume.id)
                    snapshot = SnapshotSpec(id=note.stem.partition("_")[0], volume_id=volume.id, size_gib=0)
                    self._remove(backends.driver(volume.backend), volume, snapshot)

    def _remove(self, driver: Driver, volume: VolumeSpec, snapshot: SnapshotSpec) -> None:
        driver.delete_snapshot(snapshot, volume)
        self._note(volume, snapshot.id).unlink(missing_ok=True)

    def _note(self, volume: VolumeSpec, mark: str) -> Path:
        return self._directory / f"{mark}_{volume.id}.json"
