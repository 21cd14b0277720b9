"""Volumes, snapshots, backups and servers that are being made, by nobody: no operation works on them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs, fault
from hostler.db.models import Backup, Operation, Server, Snapshot, Volume
from hostler.operations import states as operation_states
from hostler.operations.accept import Target
from hostler.resources.server import states
from hostler.resources.volume import states as volume_states

# Type → (model, the column of its state, the state while it is made, the state of failure).
_MADE: dict[str, tuple[Any, str, str, str]] = {
    "volume": (Volume, "state", volume_states.CREATING, volume_states.ERROR),
    "snapshot": (Snapshot, "state", volume_states.CREATING, volume_states.ERROR),
    "backup": (Backup, "state", volume_states.CREATING, volume_states.ERROR),
    "server": (Server, "vm_state", states.BUILDING, states.ERROR),
}
_CAUSE = "Its creation came to no end: no operation works on it any more."


class UnfinishedCreations:
    """Puts them into error, so that their owner sees it and can delete them."""

    name = "creations"
    about = "resources in creation without an operation"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare states with locks and operations."""
        found = []
        for kind, (model, column, making, _) in _MADE.items():
            rows = session.scalars(sa.select(model.id).where(
                getattr(model, column) == making, model.deleted_at.is_(None),
                model.id.not_in(sa.select(Operation.resource_id).where(
                    Operation.state.in_(operation_states.UNFINISHED)))).order_by(model.id))
            for resource_id in rows:
                if resource_id not in inventory.locked:
                    target = Target(kind, resource_id)
                    found.append(Finding(self.name, target, f"is {making} and no operation works on it",
                                         "put it into error, to be deleted by its owner", hold=(target,)))
        return found

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Write state and fault."""
        model, column, making, failed = _MADE[finding.target.type]
        values = {column: failed, "fault": fault(_CAUSE)}
        repairs.write(lambda session: session.execute(sa.update(model).where(
            model.id == finding.target.id, getattr(model, column) == making).values(**values)))
        return "put into error"
