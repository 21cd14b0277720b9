"""Connections on storage nodes that belong to no attachment: a former user may still reach the volume."""

from __future__ import annotations

from sqlalchemy import orm

from conductor.audit.evidence import Inventory, rows_of
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import Volume, VolumeAttachment
from hostler.operations.accept import Target
from hostler.resources.volume.specs import VolumeSpec


class LeftoverConnections:
    """Ends them."""

    name = "connections"
    about = "connections (exports) on storage nodes without an attachment"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare what nodes export with the attachments."""
        seen = [(node, backend, connection_id, volume_id) for node, backend, content in inventory.backends()
                for connection_id, volume_id in sorted(content.get("connections", {}).items())]
        attachments = rows_of(session, {item[2] for item in seen}, VolumeAttachment.connected_as)
        volumes = rows_of(session, {item[3] for item in seen}, Volume.id)
        return [self._finding(*item, known=item[3] in volumes) for item in seen
                if item[2] not in attachments and item[3] not in inventory.locked]

    def _finding(self, node: str, backend: str, connection_id: str, volume_id: str, *, known: bool) -> Finding:
        target = Target("volume", volume_id)
        return Finding(
            self.name, target, f"is exported for attachment {connection_id}, which no record tells of"
            + ("" if known else "; neither does one of the volume"), "end the connection", place=f"{node}@{backend}",
            node=node, unknown=not known, hold=(target,), details={"of": connection_id, "backend": backend})

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Disconnect."""
        spec = VolumeSpec(id=finding.target.id, backend=finding.details["backend"], size_gib=0)
        repairs.ask(str(finding.node), repairs.cloud.volumes.disconnect_volume, spec, finding.details["of"])
        return "ended the connection"
