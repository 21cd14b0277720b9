"""Attachments of servers or volumes that are gone: the volume looks in use, by nobody."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import Server, Volume, VolumeAttachment
from hostler.operations.accept import Target
from hostler.resources.volume.records import place_of, volume_spec


class StaleAttachments:
    """Ends their connection and removes them."""

    name = "attachments"
    about = "attachments of servers or volumes that are deleted"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare attachments with servers and volumes."""
        rows = session.execute(
            sa.select(VolumeAttachment.id, VolumeAttachment.volume_id, VolumeAttachment.server_id,
                      sa.and_(Volume.id.is_not(None), Volume.deleted_at.is_(None)).label("volume_lives"),
                      sa.and_(Server.id.is_not(None), Server.deleted_at.is_(None)).label("server_lives"))
            .outerjoin(Volume, Volume.id == VolumeAttachment.volume_id)
            .outerjoin(Server, Server.id == VolumeAttachment.server_id).order_by(VolumeAttachment.id))
        return [self._finding(row) for row in rows
                if not {row.volume_id, row.server_id} & inventory.locked
                and not (row.volume_lives and (row.server_id is None or row.server_lives))]

    def _finding(self, row: Any) -> Finding:
        gone = f"server {row.server_id}" if row.volume_lives else "itself"
        target = Target("volume", row.volume_id)
        return Finding(self.name, target, f"has attachment {row.id}, but {gone} is deleted",
                       "end its connection and remove the attachment", hold=(target,), details={"of": row.id})

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Disconnect where something may be connected, then remove the row."""
        attachment_id = finding.details["of"]
        with repairs.run.reading() as session:
            volume, attachment = session.get(Volume, finding.target.id), session.get(VolumeAttachment, attachment_id)
            place = spec = None
            connection_id = attachment.connected_as if attachment is not None else attachment_id
            if volume is not None and volume.backend_id is not None and attachment is not None:
                place, spec = place_of(session, volume.backend_id), volume_spec(session, volume.id)
        if place is not None and spec is not None:
            repairs.ask(place.node, repairs.cloud.volumes.disconnect_volume, spec, connection_id)
        repairs.write(lambda session: session.execute(
            sa.delete(VolumeAttachment).where(VolumeAttachment.id == attachment_id)))
        return "removed the attachment"
