"""The disk files of a server: a qcow2 overlay on the cached image, ephemeral and swap disks, the config drive.

A file appears by rename when it is whole, so that a repeated call after a crash finds all of it or nothing; a file
that exists is never touched again. The base image is only ever read; its format is passed explicitly, so that a raw
image cannot pretend to be a qcow2 that reaches elsewhere.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from compute import configdrive, diskheader, disksizes, disksums
from compute.layout import Layout
from compute.virt.driver import RESCUE_TARGET, RESCUED_TARGET, ROOT_TARGET, Disk
from hostler import errors
from hostler.agent import programs
from hostler.agent.confine import confined
from hostler.agent.files import create_private, publish
from hostler.agent.programs import Progress
from hostler.resources.server.specs import RescueSpec, ServerSpec

LOG = logging.getLogger(__name__)
GIB = 1024**3
TOOL_TIMEOUT_S = 300


class Disks(Protocol):
    """What the agent needs of disk storage."""

    def ensure(self, server: ServerSpec, base: Path | None, *, sizes: Mapping[str, int] | None = None,
               base_format: str | None = None) -> tuple[Disk, ...]:
        """Make the disks of `server` that are missing and return all of them; raises AgentError.

        `base` is the image of the root disk; of a server to be rescued, of its rescue disk. That one comes first, as
        vda, with the root disk as vdb unless that is a volume; or last, when the rescue image names a device.
        `sizes` (target: bytes) are those of disks that are to be copied into them. `base_format` is that of a `base`
        whose image the server's spec does not name, as the store has it no more.
        """

    def copy(self, disk: Path, copy: Path, progress: Progress) -> None:
        """Copy a root disk that no guest has open to a qcow2 without a base; raises AgentError, or what `progress`
        (called with per cent) raises."""

    def checksum(self, disk: Path, disk_format: str, raw: Path, check: Callable[[], None]) -> str:
        """Return a checksum of the content of a disk that no guest has open, by way of the file `raw`; what `check`
        raises ends it. Raises AgentError."""

    def adapt(self, server: ServerSpec, directory: Path, base: Path | None) -> None:
        """Fit the disks that came to `directory` from another host, or another flavor: the root disk builds on `base`
        (None: on an image that must be in the cache), and disks grow to the sizes of `server`; raises AgentError."""

    def remove(self, server_id: str) -> None:
        """Remove a server's own disks; fine when there are none."""


class DiskFiles:
    """Implements `Disks` with files in the server's directory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def remove(self, server_id: str) -> None:
        """Remove the files."""
        for name in ("disk", "disk.eph0", "disk.swap", "disk.config"):
            self._layout.disk(server_id, name).unlink(missing_ok=True)

    def ensure(self, server: ServerSpec, base: Path | None, *, sizes: Mapping[str, int] | None = None,
               base_format: str | None = None) -> tuple[Disk, ...]:
        """Make what is missing; `base` is the cached image (None: an empty root disk)."""
        disks = self._ensure_own(server, base, base_format) if server.rescue is None else self._ensure_rescue(
            server, server.rescue, base)
        for disk in disks:
            if sizes is not None and disk.target in sizes and diskheader.size_of(disk) != sizes[disk.target]:
                run_tool(["qemu-img", "resize", "-q", "-f", disk.format, str(disk.path), str(sizes[disk.target])])
        return disks

    def _ensure_own(self, server: ServerSpec, base: Path | None, base_format: str | None = None) -> tuple[Disk, ...]:
        disks = []
        if not boots_from_volume(server):
            root = self._layout.disk(server.id)
            self._make(root, lambda part: _create_root(server, base, base_format, part))
            # The guest finds what it boots from in its drive: an ISO says nothing to a disk's driver.
            disc = _is_disc(server)
            disks.append(Disk(root, ROOT_TARGET, readonly=disc, cdrom=disc))
        targets = iter(("vdb", "vdc"))  # vda is what the server boots from, a volume or not
        if server.ephemeral_gib:
            path = self._layout.disk(server.id, "disk.eph0")
            self._make(path, lambda part: _create_formatted(part, server.ephemeral_gib * GIB, _MKFS))
            disks.append(Disk(path, next(targets), "raw"))
        if server.swap_mib:
            path = self._layout.disk(server.id, "disk.swap")
            self._make(path, lambda part: _create_formatted(part, server.swap_mib * 1024**2, _MKSWAP))
            disks.append(Disk(path, next(targets), "raw"))
        if server.config_drive:
            path = self._layout.disk(server.id, "disk.config")
            self._make(path, lambda part: configdrive.build(server, part))
            # A virtio disk, because not every guest kernel sees a SATA CD-ROM; guests find it by its label.
            disks.append(Disk(path, "vdz", "raw", readonly=True))
        return tuple(disks)

    def _ensure_rescue(self, server: ServerSpec, rescue: RescueSpec, base: Path | None) -> tuple[Disk, ...]:
        path = self._layout.disk(server.id, "disk.rescue")
        self._make(path, lambda part: _create_rescue(rescue, base, part))
        if rescue.device is not None:
            return *self._ensure_own(server, None), rescue_disk(path, rescue)
        return (rescue_disk(path, rescue),) if boots_from_volume(server) else (
            rescue_disk(path, rescue), Disk(self._layout.disk(server.id), RESCUED_TARGET))

    def copy(self, disk: Path, copy: Path, progress: Progress) -> None:
        """Convert; needs no syncing, since an interrupted copy is made again."""
        copy.unlink(missing_ok=True)  # of a guest that went off while it was copied
        create_private(copy)
        programs.run_watched(["qemu-img", "convert", "-p", "-t", "unsafe", "-f", "qcow2", "-O", "qcow2", str(disk),
                              str(copy)], progress)

    def checksum(self, disk: Path, disk_format: str, raw: Path, check: Callable[[], None]) -> str:
        """Write it out with holes, and read that."""
        raw.unlink(missing_ok=True)
        try:
            create_private(raw)
            programs.run_watched(["qemu-img", "convert", "-p", "-t", "unsafe", "-f", disk_format, "-O", "raw",
                                  str(disk), str(raw)], lambda _percent: check())
            return disksums.sum_raw(raw)
        finally:
            raw.unlink(missing_ok=True)

    def adapt(self, server: ServerSpec, directory: Path, base: Path | None) -> None:
        """Rebase, grow; a swap disk of another size is left out, so that `ensure` makes it."""
        root, ephemeral, swap = (directory / name for name in ("disk", "disk.eph0", "disk.swap"))
        if root.exists():
            disksizes.rebase(root, base, self._layout.images)
            if not _is_disc(server):
                disksizes.grow(root, server.root_gib * GIB)
        if ephemeral.exists():
            disksizes.grow_formatted(ephemeral, server.ephemeral_gib * GIB)
        if swap.exists() and swap.stat().st_size != server.swap_mib * 1024**2:
            swap.unlink()

    @staticmethod
    def _make(path: Path, create: Callable[[Path], None]) -> None:
        if path.exists():
            return
        part = path.with_name(f"{path.name}.part")
        part.unlink(missing_ok=True)  # of a crashed try: the server's lock keeps others away
        try:
            create_private(part)
            create(part)
            publish(part, path)
        except OSError as error:
            LOG.error("Disk %s cannot be made: %s", path, error)
            raise errors.AgentError(reason=f"A disk of the server could not be made on the host: "
                                           f"{error.strerror or 'I/O error'}.") from error
        finally:
            part.unlink(missing_ok=True)


_MKFS = ("mkfs.ext4", "-q", "-F", "-L", "ephemeral0")
_MKSWAP = ("mkswap", "-L", "swap0")


def _create_root(server: ServerSpec, base: Path | None, base_format: str | None, part: Path) -> None:
    size = server.root_gib * GIB
    image = server.image
    if base is not None and image is None and base_format is not None:
        run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-F", base_format, "-b", str(base), str(part)])
        return
    if base is None or image is None:
        run_tool(["qemu-img", "create", "-q", "-f", "qcow2", str(part), str(max(size, 1))])
        return
    if size and image.virtual_size_bytes > size:
        raise errors.AgentError(reason=f"The flavor's disk ({server.root_gib} GiB) is too small for image {image.id}.")
    if image.short_lived:
        run_tool(["qemu-img", "convert", "-q", "-f", image.disk_format, "-O", "qcow2", str(base), str(part)])
        if size > image.virtual_size_bytes:
            run_tool(["qemu-img", "resize", "-q", "-f", "qcow2", str(part), str(size)])
        return
    if image.disk_format == "iso":  # as large as it is: a disc has no free space
        run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(part)])
        return
    # root_gib 0 means: as large as the image.
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-F", image.disk_format, "-b", str(base), str(part),
              *([str(size)] if size else [])])


def _create_rescue(rescue: RescueSpec, base: Path | None, part: Path) -> None:
    """Make the rescue disk: as large as its image, whatever the flavor says."""
    if base is None or rescue.image is None:
        raise errors.AgentError(reason="The image of the rescue disk is gone.")
    backing = "raw" if rescue.image.disk_format == "iso" else rescue.image.disk_format
    run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-F", backing, "-b", str(base), str(part)])


def rescue_disk(path: Path, rescue: RescueSpec) -> Disk:
    """Return the rescue disk at `path`."""
    if rescue.device is None:
        return Disk(path, ROOT_TARGET)
    cdrom = rescue.device == "cdrom"
    return Disk(path, RESCUE_TARGET, readonly=cdrom, cdrom=cdrom, bus=rescue.bus)


def _create_formatted(part: Path, size: int, tool: Sequence[str]) -> None:
    with part.open("wb") as stream:
        os.truncate(stream.fileno(), size)
    run_tool([*tool, str(part)])


def _is_disc(server: ServerSpec) -> bool:
    return server.on_disc or (server.image is not None and server.image.disk_format == "iso")


def boots_from_volume(server: ServerSpec) -> bool:
    """Return whether a volume is the server's root disk, so that it needs none of its own."""
    return any(volume.boot_index == 0 for volume in server.volumes)


def run_tool(command: Sequence[str]) -> None:
    """Run a disk tool; raises AgentError naming the tool, its message goes to the log only (it holds paths)."""
    try:
        subprocess.run(confined(command), check=True, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S)
    except FileNotFoundError as error:
        raise errors.AgentError(reason=f"The program {command[0]} is missing on the host.") from error
    except subprocess.TimeoutExpired as error:
        raise errors.AgentError(reason=f"The program {command[0]} did not end in time.") from error
    except subprocess.CalledProcessError as error:
        LOG.error("%s failed with %d: %s", " ".join(command), error.returncode, error.stderr.strip())
        full = "No space left on device" in error.stderr
        raise errors.AgentError(reason="The host has no space left for the server's disk." if full else
                                f"The program {command[0]} failed on the host.") from error
