"""Making a volume from its source: nothing, an image, a snapshot, a volume, a backup, an export."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from hostler.resources.server.specs import ImageSpec
from hostler.resources.volume.specs import BackupSpec, SourceSpec, VolumeSpec
from volume import contents
from volume.backends import Backends
from volume.backups import copying
from volume.backups.store import BackupStore
from volume.drivers.driver import DiskSource, Provider
from volume.images import ImageContents
from volume.layout import Layout
from volume.work import Work


class VolumeMaker:
    """Makes volumes and fills them again."""

    def __init__(self, backends: Backends, images: ImageContents, store: BackupStore, layout: Layout,
                 tls_dir: str) -> None:
        self._backends = backends
        self._images = images
        self._store = store
        self._layout = layout
        self._tls_dir = tls_dir

    def create(self, volume: VolumeSpec, source: SourceSpec, work: Work) -> Provider:
        """Make the volume; whatever is copied counts as one of the node's copies. Raises AgentError, StaleAttempt."""
        driver = self._backends.driver(volume.backend)
        work.pass_step("create_volume.begin")
        if source == SourceSpec():
            provider = driver.create_volume(volume, None, work.progress)
        else:
            with work.copying():
                provider = self._create_filled(volume, source, work)
        work.pass_step("create_volume.end")
        return provider

    def restore(self, volume: VolumeSpec, backup: BackupSpec, work: Work) -> Provider:
        """Give an existing volume a backup's content."""
        driver = self._backends.driver(volume.backend)
        with work.copying(), self._backup_content(backup, work) as content:
            work.pass_step("restore_backup.write")
            return driver.overwrite_volume(volume, content, work.part(50, 100))

    def reimage(self, volume: VolumeSpec, image: ImageSpec, work: Work) -> Provider:
        """Give an existing volume an image's content."""
        driver = self._backends.driver(volume.backend)
        with work.copying(), self._images.content(image, volume.size_gib) as content:
            return driver.overwrite_volume(volume, content, work.progress)

    def _create_filled(self, volume: VolumeSpec, source: SourceSpec, work: Work) -> Provider:
        driver = self._backends.driver(volume.backend)
        if source.snapshot is not None:
            return driver.clone_snapshot(volume, source.snapshot, work.progress)
        if source.volume is not None and source.volume.backend == volume.backend:
            return driver.clone_volume(volume, source.volume, work.progress)
        with self._content(volume, source, work) as content:
            work.pass_step("create_volume.fetched")
            progress = work.part(50, 100) if source.backup is not None else work.progress
            return driver.create_volume(volume, content, progress)

    @contextlib.contextmanager
    def _content(self, volume: VolumeSpec, source: SourceSpec, work: Work) -> Iterator[DiskSource]:
        if source.image is not None:
            with self._images.content(source.image, volume.size_gib) as content:
                yield content
        elif source.backup is not None:
            with self._backup_content(source.backup, work) as content:
                yield content
        elif source.connection is not None:
            with contents.content_of_connection(source.connection, volume.size_gib, self._backends, self._layout.work,
                                                self._tls_dir) as content:
                yield content
        elif source.volume is not None:  # of another back end of this node
            yield self._backends.driver(source.volume.backend).source_of_volume(source.volume)

    @contextlib.contextmanager
    def _backup_content(self, backup: BackupSpec, work: Work) -> Iterator[DiskSource]:
        with contents.scratch_file(self._layout.work, "raw") as path:
            size_bytes = copying.read_backup(self._store, backup.id, path, work.part(0, 50))
            yield DiskSource({"driver": "raw", "file": {"driver": "file", "filename": str(path)}},
                             size_bytes)
