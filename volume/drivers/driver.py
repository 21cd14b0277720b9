"""What the volume agent needs of a back end.

One driver instance is one back end of one node. Volumes, snapshots and connections are identified by their ids only.
Every method is idempotent, also after a crash halfway through; anything incomplete has a temporary name until it is
complete. `volume.drivers.contract` holds the tests that each driver passes.
Drivers raise `errors.AgentError` with a reason a user may read, and no other exception.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from hostler.agent.programs import Progress
from hostler.resources.volume.specs import ConnectionSpec, ConnectorSpec, SnapshotSpec, VolumeSpec

Provider = dict[str, Any]  # the driver's own data on a volume or snapshot; stored in its record


@dataclasses.dataclass(frozen=True)
class Stats:
    """What a back end offers. `capabilities` are what extra specs are compared with; always among them:

    volume_backend_name, storage_protocol, multiattach (bool), thin_provisioning (bool),
    online_extend (list of connection protocols over which an attached volume may grow), online_snapshot (bool);
    and, where two nodes may offer the same storage, storage_id: its identity, without which nothing moves there.
    """

    total_gib: float
    free_gib: float
    capabilities: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class DiskSource:
    """Content that QEMU's tools can read: `options` are a blockdev's (as after `json:`), `size_bytes` its size.

    `objects` are what the options refer to (credentials), each as after `--object`; secrets are in files.
    """

    options: dict[str, Any]
    size_bytes: int
    objects: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Found:
    """What takes room on the back end, whole or not, for reconciliation and the doctor: ids of volumes, of
    snapshots, and attachment id → volume id of what is exported."""

    volumes: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    connections: dict[str, str] = dataclasses.field(default_factory=dict)


class Driver(Protocol):
    """One back end. Safe for use by many threads; the agent never works on one volume twice at a time."""

    def open(self) -> None:
        """Make ready, bring connections back that a restart of the node ended; raises AgentError with what the
        operator must do."""

    def close(self) -> None:
        """Let go; connections stay up."""

    def get_stats(self) -> Stats:
        """Return size and capabilities, quickly. Raises AgentError when the back end is unreachable."""

    def find(self) -> Found:
        """Return what is there."""

    def create_volume(self, volume: VolumeSpec, source: DiskSource | None, progress: Progress) -> Provider:
        """Make a volume of `size_gib`, empty or with the content of `source` (never larger) at its beginning."""

    def clone_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Make a volume from a snapshot of this back end; the volume may be larger."""

    def clone_volume(self, volume: VolumeSpec, source: VolumeSpec, progress: Progress) -> Provider:
        """Make a volume from another of this back end that nobody writes to; it may be larger."""

    def delete_volume(self, volume: VolumeSpec) -> None:
        """Remove it with its connections and with what a broken try left; fine when there is none.

        Reconciliation knows neither size nor provider of what it removes.
        """

    def extend_volume(self, volume: VolumeSpec, size_gib: int) -> Provider:
        """Grow to `size_gib`. An attached volume (`volume.attached`) whose host grows the file itself is left to it."""

    def create_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec, progress: Progress) -> Provider:
        """Keep the volume's present content."""

    def delete_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> None:
        """Remove it; fine when there is none. Volumes made from it stay whole."""

    def revert_to_snapshot(self, volume: VolumeSpec, snapshot: SnapshotSpec, progress: Progress) -> Provider:
        """Give the volume the snapshot's content, keeping the volume's size."""

    def overwrite_volume(self, volume: VolumeSpec, source: DiskSource, progress: Progress) -> Provider:
        """Give an existing volume that nobody uses the content of `source` (never larger), and zeros behind it.

        Cut short, it leaves a mixture; repeated, it is whole.
        """

    def source_of_volume(self, volume: VolumeSpec) -> DiskSource:
        """Return how to read a volume that nobody writes to. Raises AgentError when it is not there or not whole."""

    def source_of_snapshot(self, snapshot: SnapshotSpec, volume: VolumeSpec) -> DiskSource:
        """Return how to read a snapshot."""

    def connect(self, volume: VolumeSpec, attachment_id: str, connector: ConnectorSpec, readonly: bool,
                beside: str | None = None) -> ConnectionSpec:
        """Let `connector`'s host reach the volume; asked again, the same answer (port and name do not change).

        `attachment_id` names the connection. `beside` is the one of the host from which a running guest comes: both
        hosts have the volume open until that is ended. Raises AgentError, also where the storage cannot do that.
        """

    def disconnect(self, volume_id: str, attachment_id: str) -> None:
        """End one connection; fine when there is none."""

    def shut_out(self, volume: VolumeSpec, attachment_id: str, connector: ConnectorSpec) -> None:
        """As `disconnect`, for `connector`'s host that is down and may hold the volume open: what it has open is of no
        use to it afterwards, where the storage can do that."""
