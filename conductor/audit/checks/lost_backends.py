"""Back ends that hold volumes and that their node does not offer any more."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.repair import Repairs
from hostler.db.models import Backend, Volume, VolumeNode
from hostler.operations.accept import Target


class LostBackends:
    """Says so: only a person knows whether the storage comes back."""

    name = "backends"
    about = "back ends with volumes that their node does not offer any more"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare back ends in use with those their nodes have."""
        rows = session.execute(
            sa.select(Backend.id, Backend.name, VolumeNode.name.label("node"), sa.func.count().label("number"))
            .join(VolumeNode, VolumeNode.id == Backend.node_id).join(Volume, Volume.backend_id == Backend.id)
            .where(Volume.deleted_at.is_(None)).group_by(Backend.id, Backend.name, VolumeNode.name)
            .order_by(Backend.id))
        return [Finding(self.name, Target("backend", row.id),
                        f"is not offered by its node any more and has {row.number} volumes: bring it back into "
                        "enabled_backends of that node, or reset and delete its volumes",
                        place=f"{row.node}@{row.name}", node=row.node)
                for row in rows if row.node in inventory.nodes
                and row.name not in inventory.nodes[row.node].get("backends", {})]

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Nothing can be done from here."""
        raise NotRepaired("a person must decide")
