"""Images that are never fetched and disks that hold nothing, behind the interfaces of `imagecache` and `diskfile`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from compute.layout import Layout
from compute.virt.driver import Disk
from hostler.agent.faults import Faults
from hostler.resources.specs import ImageSpec, ServerSpec


class FakeImageCache:
    """Remembers which images were asked for."""

    def __init__(self, directory: Path, faults: Faults | None = None) -> None:
        self._directory = directory
        self.faults = faults or Faults()
        self.fetched: list[str] = []

    def fetch(self, image: ImageSpec) -> Path:
        """Return where the image would be."""
        self.faults.reach("image.fetch")
        self.fetched.append(image.id)
        return self._directory / (image.sha256 or image.id)

    def trim(self, used: Collection[str]) -> list[str]:
        """Nothing is kept, nothing is trimmed."""
        return []


class FakeDisks:
    """Empty files where disks would be."""

    def __init__(self, layout: Layout, faults: Faults | None = None) -> None:
        self._layout = layout
        self.faults = faults or Faults()

    def ensure(self, server: ServerSpec, base: Path | None) -> tuple[Disk, ...]:
        """Touch the root disk's file."""
        self.faults.reach("disk.ensure:before", server.id)
        path = self._layout.disk(server.id)
        path.touch()
        self.faults.reach("disk.ensure:after", server.id)
        return (Disk(path, "vda"),)
