"""What volume agents and hosts need to know of a volume; sent as `hostler.resources.server.specs` says."""

from __future__ import annotations

import dataclasses
from typing import Any

from hostler.resources.server.specs import AttachedSpec, ConnectionSpec, ImageSpec, Spec

# A server's spec holds its volumes, so the two that it needs are defined there.
__all__ = ["AttachedSpec", "BackupSpec", "ConnectionSpec", "ConnectorSpec", "SnapshotSpec", "SourceSpec", "UploadSpec",
           "VolumeSpec"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VolumeSpec(Spec):
    """A volume on one back end of one node. `provider` is what the driver said when it made it."""

    id: str
    backend: str  # the back end's name on its node
    size_gib: int
    name: str = ""
    provider: dict[str, Any] = dataclasses.field(default_factory=dict)
    extra_specs: dict[str, str] = dataclasses.field(default_factory=dict)  # of its type
    multiattach: bool = False
    attached: bool = False  # a server has it now: nothing but its host may write to it
    limits: dict[str, int] = dataclasses.field(default_factory=dict)  # for hypervisors (`resources.volume.qos`)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SnapshotSpec(Spec):
    """A snapshot; it is on its volume's back end."""

    id: str
    volume_id: str
    size_gib: int
    provider: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackupSpec(Spec):
    """A backup in a store. `chain` are the ids it builds on, the full one first; empty for a full backup."""

    id: str
    store: str
    volume_id: str
    size_gib: int
    chain: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceSpec(Spec):
    """What a new volume is filled with: exactly one field, or none for an empty one."""

    image: ImageSpec | None = None
    snapshot: SnapshotSpec | None = None
    volume: VolumeSpec | None = None
    backup: BackupSpec | None = None
    # A volume of another back end, exported for this copy (migration).
    connection: ConnectionSpec | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConnectorSpec(Spec):
    """How a host can reach volumes. `shares` maps the identity of a directory to where it is mounted on this host."""

    host: str
    ip: str = "127.0.0.1"
    protocols: tuple[str, ...] = ("file", "nbd", "rbd")
    shares: dict[str, str] = dataclasses.field(default_factory=dict)
    tls: bool = False  # has a client certificate whose common name is `host`
    sends_disks: bool = False  # takes part in moves of local disks between hosts
    max_volumes: int | None = None  # of one server; None: not said


@dataclasses.dataclass(frozen=True, kw_only=True)
class UploadSpec(Spec):
    """Where the content of a volume, or of a server's disk, goes to become an image: a signed URL to PUT it to."""

    image_id: str
    disk_format: str
    url: str
