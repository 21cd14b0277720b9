"""The `file` driver: `volume.drivers.driver` on a directory of disk files.

While a server has a volume, its host writes the file (or the node's qemu-nbd does): no copy of it can be taken then,
and it can grow only where the host has the file itself.
"""

from __future__ import annotations

import os

from hostler import errors
from hostler.agent.programs import Progress
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SnapshotSpec, VolumeSpec
from volume.drivers.driver import DiskSource, Found, Provider, Stats
from volume.drivers.file.directory import SHARE_MARK, Directory
from volume.drivers.file.exports import Exports
from volume.drivers.file.files import FORMATS, GIB, DiskFiles

FORMAT_SPEC = "hostler:format"  # extra spec of volume types
# A second program would go by the file's tables as it found them, and the guest changes these until it has moved.
_HAS_ONE_USER = ("The volume is kept as {}, which one program at a time can have open: a running server takes it to "
                 "hosts that have its directory, or where exports are not encrypted. Migrate it cold, or keep such "
                 "volumes as raw.")


class FileDriver:
    """Implements `Driver`. The provider of a volume or snapshot is {"format": qcow2 or raw}, for people to read."""

    def __init__(self, directory: Directory, files: DiskFiles, exports: Exports) -> None:
        self._directory = directory
        self._files = files
        self._exports = exports

    def open(self) -> None:
        """Mark the directory, remove old leftovers, restore exports; raises AgentError with what to do."""
        self._directory.open()
        self._files.drop_leftovers()
        self._exports.open(direct=_reads_directly(self._directory))

    def close(self) -> None:
        """Nothing to let go of; exports stay up."""

    def get_stats(self) -> Stats:
        """Return size and capabilities; exports that died since the last time are started again."""
        total, free = self._directory.measure()
        self._exports.repair()
        return Stats(total / GIB, free / GIB, {
            "storage_protocol": "file", "multiattach": self._files.default_format == "raw",
            "thin_provisioning": self._files.preallocation == "off", "online_extend": ["file"],
            "online_snapshot": False, "storage_id": self._directory.check()})

    def find(self) -> Found:
        """Return what is there. Raises AgentError when the directory is not mounted: that is not an empty one."""
        self._directory.check()
        volumes, snapshots = self._files.ids()
        return Found(volumes, snapshots, self._exports.connections())

    def create_volume(self, volume: VolumeSpec, source: DiskSource | None, progress: Progress) -> Provider:
        """Make the file, empty or filled."""
        self._directory.check()
        found = self._files.locate("volume", volume.id)
        if found is not None:
            return {"format": found[1]}
        image_format = self._choose_format(volume)
        if source is None:
            self._files.create_empty("volume", volume.id, image_format, volume.size_gib * GIB)
        else:
            self._files.copy(source, "volume", volume.id, image_format, volume.size_gib * GIB, progress)
        return {"format": image_format}

    def clone_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Make the file from a snapshot's."""
        self._directory.check()
        return self.create_volume(volume, self._files.source("snapshot", snapshot.id), progress)

    def clone_volume(self, volume: VolumeSpec, source: VolumeSpec, progress: Progress) -> Provider:
        """Make the file from another volume's."""
        self._directory.check()
        return self.create_volume(volume, self.source_of_volume(source), progress)

    def overwrite_volume(self, volume: VolumeSpec, source: DiskSource, progress: Progress) -> Provider:
        """Put a new file with the content of `source` in the place of the volume's."""
        self._directory.check()
        self._check_unused(volume, "be overwritten")
        return self._replace(volume, source, progress)

    def delete_volume(self, volume: VolumeSpec) -> None:
        """End its exports and remove its file, whole or not."""
        self._directory.check()
        for attachment_id in self._exports.of_volume(volume.id):
            self._exports.stop(attachment_id)
        self._files.remove("volume", volume.id)

    def extend_volume(self, volume: VolumeSpec, size_gib: int) -> Provider:
        """Grow the file, unless a host has it: it grows what it has open itself."""
        self._directory.check()
        _, image_format = self._files.get("volume", volume.id)
        # The file may be larger than the record: an extend that was undone does not shrink it.
        if size_gib < volume.size_gib:
            raise errors.AgentError(reason=f"A volume of {volume.size_gib} GiB cannot shrink to {size_gib} GiB.")
        if self._exports.of_volume(volume.id):
            raise errors.AgentError(reason="The volume is attached over the network (NBD), and QEMU cannot grow such a "
                                           "disk while it is in use; detach it first.")
        if not volume.attached:
            self._files.grow("volume", volume.id, size_gib * GIB)
        return {"format": image_format}

    def create_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec, progress: Progress) -> Provider:
        """Copy the volume's file."""
        self._directory.check()
        found = self._files.locate("snapshot", snapshot.id)
        if found is not None:
            return {"format": found[1]}
        self._check_unused(volume, "be copied")
        source = self._files.source("volume", volume.id)
        image_format = str(source.options["driver"])
        self._files.copy(source, "snapshot", snapshot.id, image_format, source.size_bytes, progress)
        return {"format": image_format}

    def delete_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> None:
        """Remove the snapshot's file; it is a whole copy, nothing depends on it."""
        self._directory.check()
        self._files.remove("snapshot", snapshot.id)

    def revert_to_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Put a copy of the snapshot's file in the place of the volume's."""
        self._directory.check()
        self._check_unused(volume, "be reverted")
        return self._replace(volume, self._files.source("snapshot", snapshot.id), progress)

    def source_of_volume(self, volume: VolumeSpec) -> DiskSource:
        """Return the file as QEMU reads it."""
        self._directory.check()
        self._check_unused(volume, "be copied")
        return self._files.source("volume", volume.id)

    def source_of_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> DiskSource:
        """Return the file as QEMU reads it."""
        self._directory.check()
        return self._files.source("snapshot", snapshot.id)

    def connect(self, volume: VolumeSpec, attachment_id: str, connector: ConnectorSpec, readonly: bool,
                beside: str | None = None) -> ConnectionSpec:
        """Name the file to a host that has the directory, export it to any other."""
        share = self._directory.check()
        path, image_format = self._files.get("volume", volume.id)
        if volume.multiattach and image_format != "raw":
            raise errors.AgentError(reason=f"The volume is kept as {image_format}, which one server at a time can use; "
                                           "one for several servers needs a back end that makes raw ones.")
        first = self._exports.get(beside) if beside is not None else None
        exported = first is not None or self._exports.get(attachment_id) is not None
        if "file" in connector.protocols and share in connector.shares and not exported:
            return ConnectionSpec(protocol="file", format=image_format, data={"share": share, "path": path.name})
        if "nbd" not in connector.protocols:
            raise errors.AgentError(
                reason="The server's host cannot reach the volume.",
                details=f"Host {connector.host} has neither the directory of the volume (mark it finds by "
                        f"{SHARE_MARK}) nor a way to reach it over NBD.")
        if first is not None and not first.tls:
            export = self._exports.join(first, attachment_id, connector.host)
        elif beside is not None and image_format != "raw":
            raise errors.AgentError(reason=_HAS_ONE_USER.format(image_format))
        else:
            export = self._exports.start(
                volume.id, attachment_id, path, image_format, connector.host, has_certificate=connector.tls,
                readonly=readonly, locking=beside is None or first is not None)
        return ConnectionSpec(protocol="nbd", data={
            "host": export.address, "port": export.port, "export": export.name, "tls": export.tls,
            "tls_name": self._exports.server_name() if export.tls else ""})

    def disconnect(self, volume_id: str, attachment_id: str) -> None:
        """End the export of an attachment; a host that has the directory needs no word."""
        self._exports.stop(attachment_id)

    def shut_out(self, volume: VolumeSpec, attachment_id: str, connector: ConnectorSpec) -> None:
        """End the export; from a host that has the directory nothing keeps the file but its own fence."""
        self.disconnect(volume.id, attachment_id)

    def _replace(self, volume: VolumeSpec, source: DiskSource, progress: Progress) -> Provider:
        known = self._files.source("volume", volume.id)
        image_format = str(known.options["driver"])
        self._files.copy(source, "volume", volume.id, image_format, max(known.size_bytes, volume.size_gib * GIB),
                         progress)
        return {"format": image_format}

    def _check_unused(self, volume: VolumeSpec, what: str) -> None:
        if volume.attached or self._exports.of_volume(volume.id):
            raise errors.AgentError(reason=f"The volume cannot {what} on this back end while a server has it; detach "
                                           "it first.")

    def _choose_format(self, volume: VolumeSpec) -> str:
        wanted = volume.extra_specs.get(FORMAT_SPEC, self._files.default_format)
        if wanted not in FORMATS:
            raise errors.AgentError(reason=f"The volume type's {FORMAT_SPEC} '{wanted}' is none of "
                                           f"{', '.join(FORMATS)}.")
        if volume.multiattach and wanted != "raw":
            raise errors.AgentError(reason="A volume for several servers must be kept as raw; this back end makes "
                                           f"{wanted} ones.")
        return wanted


def _reads_directly(directory: Directory) -> bool:
    """Tell whether files there can be opened past the page cache."""
    try:
        os.close(os.open(directory.path / SHARE_MARK, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True
