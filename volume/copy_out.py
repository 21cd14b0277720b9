"""Copying volumes' contents out of their back ends: to the backup store, and to the image store."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import requests

from hostler import errors
from hostler.resources.volume.specs import BackupSpec, SnapshotSpec, UploadSpec, VolumeSpec
from volume import contents, qemu_img
from volume.backends import Backends
from volume.backups import copying
from volume.backups.store import BackupStore
from volume.copy_snapshots import CopySnapshots
from volume.layout import Layout
from volume.work import Work

LOG = logging.getLogger(__name__)
UPLOAD_FORMATS = ("raw", "qcow2")
HTTP_TIMEOUT_S = (10, 600)  # to connect; and for the answer, which comes when all is stored and checked
_BLOCK_BYTES = 1 << 20
# Before each further try to send an image: an api that is being restarted is back by then.
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0)


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
            _put(path, upload, work)
        work.pass_step("upload_volume.end")


class _Body:
    """A file's content as `requests` sends it with its length known, the progress told on the way."""

    def __init__(self, path: Path, work: Work) -> None:
        self._size = path.stat().st_size
        self._file = path.open("rb")
        self._progress = work.part(50, 100)

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = _BLOCK_BYTES) -> bytes:
        """Return the next bytes."""
        self._progress(self._file.tell() * 100 // max(self._size, 1))
        return self._file.read(max(size, _BLOCK_BYTES))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _put(path: Path, upload: UploadSpec, work: Work) -> None:
    for pause_s in (*_PAUSES_S, None):
        work.check()
        body = _Body(path, work)
        try:
            answer = requests.put(upload.url, data=body, timeout=HTTP_TIMEOUT_S,  # type: ignore[arg-type]
                                  headers={"Content-Type": "application/octet-stream"})
        except requests.RequestException as error:
            LOG.warning("Image %s could not be sent: %s", upload.image_id, error)
            if pause_s is None:
                raise errors.AgentError(reason=f"Image {upload.image_id} could not be sent to the image store."
                                        ) from error
            time.sleep(pause_s)
            continue
        finally:
            body.close()
        if answer.ok:
            return
        LOG.warning("Image %s was refused with %d: %s", upload.image_id, answer.status_code, answer.text[:500])
        if answer.status_code < 500 or pause_s is None:
            raise errors.AgentError(reason=f"The image store refused image {upload.image_id} "
                                           f"(HTTP {answer.status_code}).")
        time.sleep(pause_s)
