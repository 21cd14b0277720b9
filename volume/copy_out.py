"""Copying volumes' contents out of their back ends: to the backup store, and to the image store."""

from __future__ import annotations

from typing import Any

from hostler import errors
from hostler.images import sending
from hostler.resources.volume.specs import BackupSpec, SnapshotSpec, UploadSpec, VolumeSpec
from volume import contents, qemu_img
from volume.backends import Backends
from volume.backups import copying
from volume.backups.store import BackupStore
from volume.copy_snapshots import CopySnapshots
from volume.layout import Layout
from volume.work import Work

UPLOAD_FORMATS = ("raw", "qcow2")


class CopyOut:
    """Reads volumes and writes elsewhere."""

    def __init__(self, backends: Backends, store: BackupStore, copy_snapshots: CopySnapshots, layout: Layout) -> None:
        self._backends = backends
        self._store = store
        self._copy_snapshots = copy_snapshots
        self._layout = layout

    def back_up(self, backup: BackupSpec, volume: VolumeSpec, snapshot: SnapshotSpec | None, work: Work
                ) -> dict[str, Any]:
        """Store a volume's content (or the snapshot's) as `backup`; one that is whole already stays as it is."""
        driver = self._backends.driver(volume.backend)
        work.pass_step("create_backup.begin")
        with work.copying(), contents.content_of(driver, volume, snapshot, self._copy_snapshots, backup.id) as source, \
                contents.raw_file(source, self._layout.work, work.part(0, 50)) as raw:
            work.pass_step("create_backup.read")
            manifest = copying.write_backup(self._store, backup, raw, work.part(50, 100))
        work.pass_step("create_backup.end")
        return {"stored_bytes": manifest.stored_bytes, "object_count": manifest.object_count}

    def upload(self, volume: VolumeSpec, upload: UploadSpec, work: Work) -> None:
        """Convert a volume's content and PUT it to the image store's URL."""
        if upload.disk_format not in UPLOAD_FORMATS:
            raise errors.AgentError(reason=f"Volumes cannot be uploaded as {upload.disk_format}; known formats: "
                                           f"{', '.join(UPLOAD_FORMATS)}.")
        driver = self._backends.driver(volume.backend)
        work.pass_step("upload_volume.begin")
        with work.copying(), contents.content_of(driver, volume, None, self._copy_snapshots,
                                                     upload.image_id) as source, \
                contents.scratch_file(self._layout.work, upload.disk_format) as path:
            qemu_img.convert(source, str(path), upload.disk_format, work.part(0, 50), durable=False)
            work.pass_step("upload_volume.converted")
            sending.send(path, upload, check=work.check, progress=work.part(50, 100))
        work.pass_step("upload_volume.end")
