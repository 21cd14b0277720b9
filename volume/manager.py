"""The volume agent's RPC endpoint: unpack, hand on, pack. Clients are in `volume.rpcapi`.

Only Hostler's errors leave here on purpose; every method may be received twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from hostler.bus import open_to, rpc_method
from hostler.bus.senders import VOLUME
from hostler.context import RequestContext
from hostler.resources.server.specs import ImageSpec
from hostler.resources.volume.specs import BackupSpec, ConnectorSpec, SnapshotSpec, SourceSpec, UploadSpec, VolumeSpec
from volume import contents
from volume.backends import Backends
from volume.backups.store import BackupStore
from volume.copy_out import CopyOut
from volume.create_volume import VolumeMaker
from volume.drivers.driver import Driver
from volume.report import Reporter
from volume.work import Work, Workbench

Wire = dict[str, Any]


class VolumeManager:
    """One node's endpoint."""

    def __init__(self, node: str, backends: Backends, bench: Workbench, maker: VolumeMaker, copy_out: CopyOut,
                 store: BackupStore, reporter: Reporter) -> None:
        self._node = node
        self._backends = backends
        self._bench = bench
        self._maker = maker
        self._copy_out = copy_out
        self._store = store
        self._reporter = reporter

    @contextlib.contextmanager
    def _step(self, name: str, resource_id: str, context: RequestContext) -> Iterator[Work]:
        """Work on a volume or a backup, and pass where tests interrupt it: before the first change, after the last."""
        with self._bench.work_on(resource_id, context) as work:
            work.pass_step(f"{name}.begin")
            yield work
            work.pass_step(f"{name}.end")

    def _driver(self, volume: VolumeSpec) -> Driver:
        return self._backends.driver(volume.backend)

    @rpc_method
    def create_volume(self, context: RequestContext, volume: Wire, source: Wire) -> Wire:
        """Make a volume."""
        spec = VolumeSpec.from_wire(volume)
        with self._bench.work_on(spec.id, context) as work:
            return {"provider": self._maker.create(spec, SourceSpec.from_wire(source), work)}

    @rpc_method
    def delete_volume(self, context: RequestContext, volume: Wire) -> None:
        """Remove a volume."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("delete_volume", spec.id, context):
            self._driver(spec).delete_volume(spec)

    @rpc_method
    def extend_volume(self, context: RequestContext, volume: Wire, size_gib: int) -> Wire:
        """Grow a volume."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("extend_volume", spec.id, context):
            return {"provider": self._driver(spec).extend_volume(spec, size_gib)}

    @rpc_method
    def create_snapshot(self, context: RequestContext, snapshot: Wire, volume: Wire) -> Wire:
        """Keep a volume's content."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("create_snapshot", spec.id, context) as work:
            return {"provider": self._driver(spec).create_snapshot(
                SnapshotSpec.from_wire(snapshot), spec, work.progress)}

    @rpc_method
    def delete_snapshot(self, context: RequestContext, snapshot: Wire, volume: Wire) -> None:
        """Remove a snapshot."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("delete_snapshot", spec.id, context):
            self._driver(spec).delete_snapshot(SnapshotSpec.from_wire(snapshot), spec)

    @rpc_method
    def revert_volume(self, context: RequestContext, volume: Wire, snapshot: Wire) -> Wire:
        """Give a volume its snapshot's content."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("revert_volume", spec.id, context) as work, work.copying():
            return {"provider": self._driver(spec).revert_to_snapshot(
                spec, SnapshotSpec.from_wire(snapshot), work.progress)}

    @rpc_method
    def reimage_volume(self, context: RequestContext, volume: Wire, image: Wire) -> Wire:
        """Give a volume an image's content."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("reimage_volume", spec.id, context) as work:
            return {"provider": self._maker.reimage(spec, ImageSpec.from_wire(image), work)}

    @rpc_method
    def connect_volume(self, context: RequestContext, volume: Wire, attachment_id: str, connector: Wire,
                       readonly: bool, beside: str | None = None) -> Wire:
        """Let a host reach a volume."""
        spec, peer = VolumeSpec.from_wire(volume), ConnectorSpec.from_wire(connector)
        with self._step("connect_volume", spec.id, context):
            if contents.is_own(peer, self._node):
                connection = contents.connect_locally(spec)
            else:
                connection = self._driver(spec).connect(spec, attachment_id, peer, readonly, beside)
            return connection.to_wire()

    @rpc_method
    def disconnect_volume(self, context: RequestContext, volume: Wire, attachment_id: str) -> None:
        """End a connection."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("disconnect_volume", spec.id, context):
            self._driver(spec).disconnect(spec.id, attachment_id)

    @rpc_method
    def shut_out_host(self, context: RequestContext, volume: Wire, attachment_id: str, connector: Wire) -> None:
        """End the connection of a host that is down."""
        spec, peer = VolumeSpec.from_wire(volume), ConnectorSpec.from_wire(connector)
        with self._step("shut_out_host", spec.id, context):
            self._driver(spec).shut_out(spec, attachment_id, peer)

    @rpc_method
    def create_backup(self, context: RequestContext, backup: Wire, volume: Wire, snapshot: Wire | None) -> Wire:
        """Back a volume up."""
        spec = BackupSpec.from_wire(backup)
        kept = SnapshotSpec.from_wire(snapshot) if snapshot is not None else None
        with self._bench.work_on(spec.id, context), self._bench.work_on(spec.volume_id, context) as work:
            return self._copy_out.back_up(spec, VolumeSpec.from_wire(volume), kept, work)

    @rpc_method
    def delete_backup(self, context: RequestContext, backup: Wire) -> None:
        """Remove a backup."""
        backup_id = BackupSpec.from_wire(backup).id
        with self._step("delete_backup", backup_id, context):
            self._store.delete(backup_id)

    @rpc_method
    def restore_backup(self, context: RequestContext, backup: Wire, volume: Wire) -> Wire:
        """Give a volume a backup's content."""
        spec = VolumeSpec.from_wire(volume)
        with self._step("restore_backup", spec.id, context) as work:
            return {"provider": self._maker.restore(spec, BackupSpec.from_wire(backup), work)}

    @rpc_method
    def upload_volume(self, context: RequestContext, volume: Wire, upload: Wire) -> None:
        """Send a volume's content to the image store."""
        spec = VolumeSpec.from_wire(volume)
        with self._bench.work_on(spec.id, context) as work:
            self._copy_out.upload(spec, UploadSpec.from_wire(upload), work)

    @rpc_method
    def get_inventory(self, context: RequestContext) -> Wire:
        """Return what is there."""
        return self._reporter.inventory()

    @rpc_method
    def get_node_report(self, context: RequestContext) -> Wire:
        """Return what a heartbeat says."""
        return self._reporter.report()

    @open_to(VOLUME)
    def ping(self, context: RequestContext) -> None:
        """Answer."""
