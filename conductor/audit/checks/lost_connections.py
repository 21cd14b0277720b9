"""Attachments whose connection is gone from the storage node: the host that has the volume reaches nothing."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.repair import Repairs
from hostler.db.models import Backend, Host, Server, Volume, VolumeAttachment, VolumeNode
from hostler.operations.accept import Target
from hostler.resources.volume.records import volume_spec
from hostler.resources.volume.specs import ConnectorSpec

# Protocols for which a node keeps something up; a shared file or a pool is reached without it.
_KEPT_UP = ("nbd", "fake")


class LostConnections:
    """Connects them again: a driver answers with the same port and name as long as it remembers."""

    name = "exports"
    about = "attachments whose connection (export) is gone from the storage node"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare attachments with what nodes export."""
        there = {(node, backend): content.get("connections", {}) for node, backend, content in inventory.backends()}
        rows = session.execute(
            sa.select(VolumeAttachment.id, VolumeAttachment.volume_id, VolumeAttachment.server_id,
                      VolumeAttachment.connection, VolumeAttachment.connected_as,
                      VolumeNode.name.label("node"), Backend.name.label("backend"))
            .join(Volume, Volume.id == VolumeAttachment.volume_id).join(Backend, Backend.id == Volume.backend_id)
            .join(VolumeNode, VolumeNode.id == Backend.node_id)
            .where(Volume.deleted_at.is_(None)).order_by(VolumeAttachment.id))
        found = []
        for row in rows:
            held = {row.volume_id, row.server_id} & inventory.locked
            if (row.connection or {}).get("protocol") not in _KEPT_UP or held or (row.node, row.backend) not in there:
                continue
            if row.connected_as not in there[row.node, row.backend]:
                target = Target("volume", row.volume_id)
                hold = (target, *([Target("server", row.server_id)] if row.server_id else []))
                found.append(Finding(
                    self.name, target, f"has attachment {row.id}, which its storage node does not export",
                    "connect it again", place=f"{row.node}@{row.backend}", node=row.node, hold=hold,
                    details={"of": row.id}))
        return found

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Connect, and keep the answer when it is another."""
        with repairs.run.reading() as session:
            attachment = session.get_one(VolumeAttachment, finding.details["of"])
            connector, before = _connector(session, attachment), {"limits": {}, **attachment.connection}
            spec, readonly = volume_spec(session, finding.target.id), attachment.mode == "ro"
            connection_id = attachment.connected_as
        connection = {**repairs.ask(str(finding.node), repairs.cloud.volumes.connect_volume, spec, connection_id,
                                    connector, readonly).to_wire(), "limits": before["limits"]}
        if connection == before:
            return "connected it again"
        repairs.write(lambda session: session.execute(sa.update(VolumeAttachment).where(
            VolumeAttachment.id == finding.details["of"]).values(connection=connection)))
        return "connected it again, at another place than before: the server takes it over when it is rebooted (hard)"


def _connector(session: orm.Session, attachment: VolumeAttachment) -> ConnectorSpec:
    kept = attachment.connector
    if not kept and attachment.server_id is not None:
        row = session.execute(sa.select(Host.name, Host.connector).join(Server, Server.host_id == Host.id)
                              .where(Server.id == attachment.server_id)).one_or_none()
        kept = {**row.connector, "host": row.name} if row is not None and row.connector else {}
    if "host" not in kept:
        raise NotRepaired("no record tells which host the connection is for")
    return ConnectorSpec.from_wire(kept)
