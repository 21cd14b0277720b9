"""Disks of a server that came from another host, or gets a larger flavor: another base, another size."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hostler import errors
from hostler.agent import programs


def rebase(disk: Path, base: Path | None, images: Path) -> None:
    """Let an overlay build on this host's copy of its image: `base`, or what the cache in `images` has of that name."""
    said = _info(disk)
    backing = said.get("full-backing-filename") or said.get("backing-filename")
    if backing is None:
        return
    own = base if base is not None and base.name == Path(backing).name else images / Path(backing).name
    if not own.is_file():
        raise errors.AgentError(reason="The image that the server's disk builds on is gone, and the host has no copy "
                                       "of it.")
    if str(own) != backing:
        form = said.get("backing-filename-format", "qcow2")
        programs.run(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", form, "-b", str(own), str(disk)])


def grow(disk: Path, size_bytes: int) -> None:
    """Grow a qcow2 disk; one that is as large or larger stays."""
    if _info(disk)["virtual-size"] < size_bytes:
        programs.run(["qemu-img", "resize", "-q", "-f", "qcow2", str(disk), str(size_bytes)])


def grow_formatted(disk: Path, size_bytes: int) -> None:
    """Grow a raw disk and the ext4 file system on it; what its user put there instead stays as it is."""
    if disk.stat().st_size >= size_bytes:
        return
    os.truncate(disk, size_bytes)
    if _is_ext4(disk):
        programs.run(["resize2fs", "-f", str(disk)])  # -f: it was unmounted by the guest, or is replayed by it


def _is_ext4(disk: Path) -> bool:
    with disk.open("rb") as stream:
        stream.seek(0x438)  # the superblock's magic number
        return stream.read(2) == b"\x53\xef"


def _info(disk: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(programs.run(["qemu-img", "info", "-U", "-f", "qcow2", "--output", "json",
                                                 str(disk)]))
    return found
