"""Which servers have a volume."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from conductor.run import Run
from hostler.db.models import Host, Server, VolumeAttachment


@dataclasses.dataclass(frozen=True)
class Holder:
    """A server that has the volume, on its host."""

    server_id: str
    host: str
    protocol: str


def holders_of(run: Run) -> list[Holder]:
    """Return the servers, on their hosts, that have the run's volume connected."""
    with run.reading() as session:
        rows = session.execute(
            sa.select(VolumeAttachment.server_id, Host.name, VolumeAttachment.connection)
            .join(Server, Server.id == VolumeAttachment.server_id).join(Host, Host.id == Server.host_id)
            .where(VolumeAttachment.volume_id == run.resource_id).order_by(VolumeAttachment.id)).all()
    return [Holder(server_id, host, connection["protocol"]) for server_id, host, connection in rows if connection]
