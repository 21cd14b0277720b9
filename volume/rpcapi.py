"""How other services speak to the volume agents; `node` names the agent.

Methods that change something carry the operation and its attempt: an agent refuses an attempt older than one it has
seen (`errors.StaleAttempt`), and every call may be repeated. All may raise AgentError, StaleAttempt and Silent.

Calls that copy whole volumes take as long as that takes, as long as the agent shows life: to give up and begin anew
would never come to an end.
"""

from __future__ import annotations

from typing import Any

from hostler.bus import Bus
from hostler.context import RequestContext
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
RPC_VERSION = "1.0"
COPY_TIMEOUT_S = 7 * 24 * 3600.0


class VolumeAPI:
    """Client of the volume agents."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(TOPIC, RPC_VERSION)

    def create_volume(self, context: RequestContext, node: str, volume: VolumeSpec, source: SourceSpec,
                      operation_id: str, attempt: int) -> dict[str, Any]:
        """Make a volume; returns {"provider": map}."""
        return self._copy(context, node, "create_volume", operation_id, attempt, volume=volume.to_wire(),
                          source=source.to_wire())

    def delete_volume(self, context: RequestContext, node: str, volume: VolumeSpec, operation_id: str,
                      attempt: int) -> None:
        """Remove a volume with its exports; fine when there is none."""
        self._change(context, node, "delete_volume", operation_id, attempt, volume=volume.to_wire())

    def extend_volume(self, context: RequestContext, node: str, volume: VolumeSpec, size_gib: int,
                      operation_id: str, attempt: int) -> dict[str, Any]:
        """Grow a volume; returns {"provider": map}."""
        return self._change(context, node, "extend_volume", operation_id, attempt, volume=volume.to_wire(),
                            size_gib=size_gib)

    def create_snapshot(self, context: RequestContext, node: str, snapshot: SnapshotSpec, volume: VolumeSpec,
                        operation_id: str, attempt: int) -> dict[str, Any]:
        """Keep a volume's present content; returns {"provider": map}."""
        return self._copy(context, node, "create_snapshot", operation_id, attempt, snapshot=snapshot.to_wire(),
                          volume=volume.to_wire())

    def delete_snapshot(self, context: RequestContext, node: str, snapshot: SnapshotSpec, volume: VolumeSpec,
                        operation_id: str, attempt: int) -> None:
        """Remove a snapshot; fine when there is none."""
        self._change(context, node, "delete_snapshot", operation_id, attempt, snapshot=snapshot.to_wire(),
                     volume=volume.to_wire())

    def revert_volume(self, context: RequestContext, node: str, volume: VolumeSpec, snapshot: SnapshotSpec,
                      operation_id: str, attempt: int) -> dict[str, Any]:
        """Give a volume its snapshot's content; returns {"provider": map}."""
        return self._copy(context, node, "revert_volume", operation_id, attempt, volume=volume.to_wire(),
                          snapshot=snapshot.to_wire())

    def connect_volume(self, context: RequestContext, node: str, volume: VolumeSpec, attachment_id: str,
                       connector: ConnectorSpec, readonly: bool, operation_id: str, attempt: int) -> ConnectionSpec:
        """Let a host reach a volume; the same answer each time."""
        return ConnectionSpec.from_wire(self._change(
            context, node, "connect_volume", operation_id, attempt, volume=volume.to_wire(),
            attachment_id=attachment_id, connector=connector.to_wire(), readonly=readonly))

    def disconnect_volume(self, context: RequestContext, node: str, volume: VolumeSpec, attachment_id: str,
                          operation_id: str, attempt: int) -> None:
        """End a connection; fine when there is none."""
        self._change(context, node, "disconnect_volume", operation_id, attempt, volume=volume.to_wire(),
                     attachment_id=attachment_id)

    def create_backup(self, context: RequestContext, node: str, backup: BackupSpec, volume: VolumeSpec,
                      snapshot: SnapshotSpec | None, operation_id: str, attempt: int) -> dict[str, Any]:
        """Copy a volume's (or snapshot's) content to the node's backup store; {"stored_bytes", "object_count"}."""
        return self._copy(context, node, "create_backup", operation_id, attempt, backup=backup.to_wire(),
                          volume=volume.to_wire(), snapshot=snapshot.to_wire() if snapshot is not None else None)

    def delete_backup(self, context: RequestContext, node: str, backup: BackupSpec, operation_id: str,
                      attempt: int) -> None:
        """Remove a backup that no other builds on; fine when there is none."""
        self._change(context, node, "delete_backup", operation_id, attempt, backup=backup.to_wire())

    def restore_backup(self, context: RequestContext, node: str, backup: BackupSpec, volume: VolumeSpec,
                       operation_id: str, attempt: int) -> dict[str, Any]:
        """Give an existing, unattached volume a backup's content; returns {"provider": map}."""
        return self._copy(context, node, "restore_backup", operation_id, attempt, backup=backup.to_wire(),
                          volume=volume.to_wire())

    def upload_volume(self, context: RequestContext, node: str, volume: VolumeSpec, upload: UploadSpec,
                      operation_id: str, attempt: int) -> None:
        """Convert a volume's content and send it to the image store."""
        self._copy(context, node, "upload_volume", operation_id, attempt, volume=volume.to_wire(),
                     upload=upload.to_wire())

    def get_inventory(self, context: RequestContext, node: str) -> dict[str, Any]:
        """Return what is really there: {"backends": {name: {"volumes": [ids], "snapshots": [ids],
        "connections": {attachment id: volume id}, "error": text or None}}, "backups": [ids]}."""
        return self._client.call(context, "get_inventory", server=node, long=True)  # type: ignore[no-any-return]

    def get_node_report(self, context: RequestContext, node: str) -> dict[str, Any]:
        """Return what the node's heartbeat says, now."""
        return self._client.call(context, "get_node_report", server=node)  # type: ignore[no-any-return]

    def _change(self, context: RequestContext, node: str, method: str, operation_id: str, attempt: int,
                **arguments: Any) -> Any:
        return self._client.call(context, method, server=node, long=True, operation_id=operation_id, attempt=attempt,
                                 **arguments)

    def _copy(self, context: RequestContext, node: str, method: str, operation_id: str, attempt: int,
              **arguments: Any) -> Any:
        return self._client.call(context, method, server=node, long=True, timeout_s=COPY_TIMEOUT_S,
                                 operation_id=operation_id, attempt=attempt, **arguments)
