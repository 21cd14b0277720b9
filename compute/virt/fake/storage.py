"""Images that are never fetched, disks and volumes without content, behind the real interfaces."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from compute import diskheader
from compute.diskfile import boots_from_volume, rescue_disk
from compute.layout import Layout
from compute.virt.driver import RESCUED_TARGET, ROOT_TARGET, Disk, FakeSource, VolumeDisk
from compute.virt.fake import disks
from hostler import errors
from hostler.agent.faults import Faults
from hostler.agent.programs import Progress
from hostler.resources.server.specs import AttachedSpec, ImageSpec, RescueSpec, ServerSpec
from hostler.resources.volume.specs import ConnectorSpec


class FakeImageCache:
    """Remembers which images were asked for; an empty file is in each one's place."""

    def __init__(self, directory: Path, faults: Faults | None = None) -> None:
        self._directory = directory
        self.faults = faults or Faults()
        self.fetched: list[str] = []

    def fetch(self, image: ImageSpec) -> Path:
        """Return where the image would be."""
        self.faults.reach("image.fetch")
        self.fetched.append(image.id)
        path = self._directory / (image.sha256 or image.id)
        path.touch()
        return path

    def adopt(self, sha256: str, fetch: Callable[[Path], None]) -> Path:
        """Fetch what is not there."""
        path = self._directory / sha256
        self.faults.reach("image.adopt:before")
        if not path.exists():
            fetch(path)
        self.faults.reach("image.adopt:after")
        return path

    def trim(self, used: Collection[str]) -> list[str]:
        """Nothing is kept, nothing is trimmed."""
        return []


class FakeDisks:
    """Empty files where disks would be."""

    def __init__(self, layout: Layout, faults: Faults | None = None) -> None:
        self._layout = layout
        self.faults = faults or Faults()

    def remove(self, server_id: str) -> None:
        """Remove the root disk's file."""
        self._layout.disk(server_id).unlink(missing_ok=True)

    def ensure(self, server: ServerSpec, base: Path | None, *, sizes: Mapping[str, int] | None = None,
               base_format: str | None = None) -> tuple[Disk, ...]:
        """Touch the root disk's file; on a base whose image is gone, write what it builds on."""
        self.faults.reach("disk.ensure:before", server.id)
        if server.rescue is not None:
            return self._ensure_rescue(server, server.rescue)
        path = self._layout.disk(server.id)
        if base is not None and base_format is not None and not path.exists():
            disks.write_overlay(path, base.name)
        path.touch()
        self.faults.reach("disk.ensure:after", server.id)
        return () if boots_from_volume(server) else (Disk(path, ROOT_TARGET),)

    def _ensure_rescue(self, server: ServerSpec, rescue: RescueSpec) -> tuple[Disk, ...]:
        path = self._layout.disk(server.id, "disk.rescue")
        path.touch()
        self.faults.reach("disk.ensure:after", server.id)
        added = rescue_disk(path, rescue)
        if boots_from_volume(server):
            return (added,)
        root = self._layout.disk(server.id)
        return (added, Disk(root, RESCUED_TARGET)) if rescue.device is None else (Disk(root, ROOT_TARGET), added)

    def copy(self, disk: Path, copy: Path, progress: Progress) -> None:
        """Copy the fake disk's file."""
        self.faults.reach("disk.copy")
        progress(50)
        disks.write_copy(disk, copy)

    def checksum(self, disk: Path, _disk_format: str, _raw: Path, check: Callable[[], None]) -> str:
        """Return the words themselves."""
        self.faults.reach("disk.checksum")
        check()
        return disks.read_words(disk)

    def adapt(self, server: ServerSpec, directory: Path, base: Path | None) -> None:
        """Look for the base of a root disk that has one (`disks.write_overlay`); nothing has a size here."""
        self.faults.reach("disk.adapt", server.id)
        name = diskheader.base_of(directory / "disk")
        if name is not None and not (self._layout.images / name).exists():
            raise errors.AgentError(reason="The image that the server's disk builds on is not on the host.")


class FakeTransfer:
    """Makes empty files with the right names; a root disk builds on what it built on before."""

    def __init__(self, host: str, faults: Faults | None = None) -> None:
        self._host = host
        self.faults = faults or Faults()

    def place(self) -> dict[str, Any]:
        """Return an address where nothing listens."""
        return {"host": self._host, "ip": "127.0.0.1", "port": 0}

    def fetch(self, offer: dict[str, Any], server_id: str, file: dict[str, Any], path: Path,
              _check: Callable[[], None]) -> None:
        """Make the file."""
        self.faults.reach("transfer.fetch", server_id)
        if file["name"] == "disk" and offer.get("base"):
            disks.write_overlay(path, offer["base"]["name"])
        path.touch()

    def start(self) -> None:
        """Serve nothing."""

    def stop(self) -> None:
        """Nothing was served."""


class FakeConnections:
    """Reaches every volume, whatever its transport."""

    def __init__(self, host: str, ip: str, faults: Faults | None = None) -> None:
        self._connector = ConnectorSpec(host=host, ip=ip, protocols=("fake", "file", "nbd", "rbd"), sends_disks=True)
        self.faults = faults or Faults()

    def connector(self) -> ConnectorSpec:
        """Return a host that sees no shares."""
        return self._connector

    def resolve(self, volume: AttachedSpec) -> VolumeDisk:
        """Return a disk without content."""
        self.faults.reach("volume.resolve")
        return VolumeDisk(volume.volume_id, volume.device or "vdy", FakeSource(), readonly=volume.readonly,
                          shared=volume.shared, boot_index=volume.boot_index)

    def grow(self, volume: AttachedSpec, size_bytes: int) -> None:
        """Nothing has a size here."""
