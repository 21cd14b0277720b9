"""How other services speak to the volume agents; `node` names the agent.

A call that changes something names its operation and attempt in its context: an agent refuses an attempt older than
one it has seen (`errors.StaleAttempt`). Every call may be repeated; all may raise AgentError, StaleAttempt and Silent.

Calls that copy whole volumes may take as long as the copy does while the agent shows life: a copy that is given up and
started again might never finish.
"""

from __future__ import annotations

from typing import Any

from hostler.bus import Bus, Peer
from hostler.context import RequestContext
from hostler.resources.server.specs import ImageSpec
from hostler.resources.volume.specs import (
    BackupSpec,
    ConnectionSpec,
    ConnectorSpec,
    SnapshotSpec,
    SourceSpec,
    UploadSpec,
    VolumeSpec,
)

TOPIC = "volume"
RPC_VERSION = "2.2"
COPY_TIMEOUT_S = 7 * 24 * 3600.0

Provided = dict[str, Any]  # {"provider": what the driver wants to find again}


class VolumeAPI:
    """Client of the volume agents."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(TOPIC, RPC_VERSION)

    def create_volume(self, context: RequestContext, node: str, volume: VolumeSpec, source: SourceSpec) -> Provided:
        """Make a volume."""
        return self._copier(node).call(context, "create_volume", {
            "volume": volume.to_wire(), "source": source.to_wire()})

    def delete_volume(self, context: RequestContext, node: str, volume: VolumeSpec) -> None:
        """Remove a volume with its exports; fine when there is none."""
        self._agent(node).call(context, "delete_volume", {"volume": volume.to_wire()})

    def extend_volume(self, context: RequestContext, node: str, volume: VolumeSpec, size_gib: int) -> Provided:
        """Grow a volume."""
        return self._agent(node).call(context, "extend_volume", {"volume": volume.to_wire(), "size_gib": size_gib})

    def create_snapshot(self, context: RequestContext, node: str, snapshot: SnapshotSpec,
                        volume: VolumeSpec) -> Provided:
        """Keep a volume's present content."""
        return self._copier(node).call(context, "create_snapshot", {
            "snapshot": snapshot.to_wire(), "volume": volume.to_wire()})

    def delete_snapshot(self, context: RequestContext, node: str, snapshot: SnapshotSpec, volume: VolumeSpec) -> None:
        """Remove a snapshot; fine when there is none."""
        self._agent(node).call(context, "delete_snapshot", {
            "snapshot": snapshot.to_wire(), "volume": volume.to_wire()})

    def revert_volume(self, context: RequestContext, node: str, volume: VolumeSpec,
                      snapshot: SnapshotSpec) -> Provided:
        """Give a volume its snapshot's content."""
        return self._copier(node).call(context, "revert_volume", {
            "volume": volume.to_wire(), "snapshot": snapshot.to_wire()})

    def reimage_volume(self, context: RequestContext, node: str, volume: VolumeSpec, image: ImageSpec) -> Provided:
        """Give an existing volume that nobody uses an image's content."""
        return self._copier(node).call(context, "reimage_volume", {
            "volume": volume.to_wire(), "image": image.to_wire()})

    def connect_volume(self, context: RequestContext, node: str, volume: VolumeSpec, attachment_id: str,
                       connector: ConnectorSpec, readonly: bool, *, beside: str | None = None) -> ConnectionSpec:
        """Let a host reach a volume; the same answer each time. `attachment_id` names the connection.

        `beside` is the connection of the host from which a guest moves to this one while it runs: it stays open.
        """
        return ConnectionSpec.from_wire(self._agent(node).call(context, "connect_volume", {
            "volume": volume.to_wire(), "attachment_id": attachment_id, "connector": connector.to_wire(),
            "readonly": readonly, "beside": beside}))

    def disconnect_volume(self, context: RequestContext, node: str, volume: VolumeSpec, attachment_id: str) -> None:
        """End a connection; fine when there is none."""
        self._agent(node).call(context, "disconnect_volume", {
            "volume": volume.to_wire(), "attachment_id": attachment_id})

    def shut_out_host(self, context: RequestContext, node: str, volume: VolumeSpec, attachment_id: str,
                      connector: ConnectorSpec) -> None:
        """End the connection of a host that is down, also one that it still holds open; fine when there is none."""
        self._agent(node).call(context, "shut_out_host", {
            "volume": volume.to_wire(), "attachment_id": attachment_id, "connector": connector.to_wire()})

    def create_backup(self, context: RequestContext, node: str, backup: BackupSpec, volume: VolumeSpec,
                      snapshot: SnapshotSpec | None) -> dict[str, Any]:
        """Copy a volume's (or snapshot's) content to the node's backup store; {"stored_bytes", "object_count"}."""
        return self._copier(node).call(context, "create_backup", {
            "backup": backup.to_wire(), "volume": volume.to_wire(),
            "snapshot": snapshot.to_wire() if snapshot is not None else None})

    def delete_backup(self, context: RequestContext, node: str, backup: BackupSpec) -> None:
        """Remove a backup that no other builds on; fine when there is none."""
        self._agent(node).call(context, "delete_backup", {"backup": backup.to_wire()})

    def restore_backup(self, context: RequestContext, node: str, backup: BackupSpec, volume: VolumeSpec) -> Provided:
        """Give an existing, unattached volume a backup's content."""
        return self._copier(node).call(context, "restore_backup", {
            "backup": backup.to_wire(), "volume": volume.to_wire()})

    def upload_volume(self, context: RequestContext, node: str, volume: VolumeSpec, upload: UploadSpec) -> None:
        """Convert a volume's content and send it to the image store."""
        self._copier(node).call(context, "upload_volume", {"volume": volume.to_wire(), "upload": upload.to_wire()})

    def get_inventory(self, context: RequestContext, node: str) -> dict[str, Any]:
        """Return what is really there: {"backends": {name: {"volumes": [ids], "snapshots": [ids],
        "connections": {attachment id: volume id}, "error": text or None}}, "backups": [ids]}."""
        return self._agent(node).call(context, "get_inventory")

    def get_node_report(self, context: RequestContext, node: str) -> dict[str, Any]:
        """Return what the node's heartbeat says, now."""
        return self._client.to(node).call(context, "get_node_report")

    def _agent(self, node: str) -> Peer:
        return self._client.to(node, long=True)

    def _copier(self, node: str) -> Peer:
        return self._client.to(node, long=True, timeout_s=COPY_TIMEOUT_S)
