"""What a server's own disks hold, at either end of a live migration.

The disk of a guest that runs or is paused is read through its hypervisor, whose caches the file may not have yet; else
the file is read. Either way it is written out once more, so this takes as much room as the disks hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from compute.layout import Layout
from compute.toolbox import Toolbox
from compute.virt.driver import Disk
from hostler import errors
from hostler.resources.server.hardware import Freeze

_COPY = "checksum"  # takes the place of an image's id in the names of copies


def sum_disks(tools: Toolbox, layout: Layout, server_id: str, disks: Iterable[Disk],
              check: Callable[[], None]) -> dict[str, str]:
    """Return the checksum of each disk that can be written, by its name in the guest; what `check` raises ends the
    work. Raises AgentError."""
    copy = layout.snapshot(server_id, _COPY)
    mark = layout.snapshot_mark(copy)  # an agent that is killed here leaves copies for its successor to remove
    mark.touch()
    try:
        return {disk.target: _sum_disk(tools, server_id, disk, copy, check) for disk in disks if not disk.readonly}
    finally:
        mark.unlink()


def check_equal(there: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Raise AgentError with the first disk whose copy differs from the source's."""
    for target, checksum in sorted(there.items()):
        if here.get(target) != checksum:
            raise errors.AgentError(reason=f"The copy of disk {target} at the target host differs from the source's.")


def _sum_disk(tools: Toolbox, server_id: str, disk: Disk, copy: Path, check: Callable[[], None]) -> str:
    raw = copy.with_name(f"{copy.name}.raw")
    copy.unlink(missing_ok=True)
    try:
        if tools.driver.copy_disk(server_id, disk.path, copy, lambda _percent: check(), freeze=Freeze.NO):
            return tools.disks.checksum(copy, "qcow2", raw, check)
        return tools.disks.checksum(disk.path, disk.format, raw, check)
    finally:
        copy.unlink(missing_ok=True)
