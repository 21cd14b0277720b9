"""Ports of servers that are gone: their addresses are taken from everybody."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import Port, Server
from hostler.operations.accept import Target
from hostler.resources.network import ports


class GonePorts:
    """Deletes those made for the server, and gives the users' own back."""

    name = "ports"
    about = "ports of servers that are deleted"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare ports with servers."""
        rows = session.execute(
            sa.select(Port.server_id, sa.func.count().label("number")).outerjoin(Server, Server.id == Port.server_id)
            .where(Port.server_id.is_not(None), sa.or_(Server.id.is_(None), Server.deleted_at.is_not(None)))
            .group_by(Port.server_id).order_by(Port.server_id))
        gone = [row for row in rows if row.server_id not in inventory.locked]
        return [Finding(self.name, target, f"is gone and still has {row.number} port{'s' * (row.number > 1)}",
                        "release them", hold=(target,)) for row in gone for target in [Target("server", row.server_id)]]

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Release them."""
        repairs.write(lambda session: repairs.run.follow(
            ports.release_ports(session, finding.target.id, repairs.context)))
        return "released them"
