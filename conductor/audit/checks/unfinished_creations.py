"""Volumes, snapshots, backups and servers that are being made, by nobody: no operation works on them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs
from hostler.db.models import Operation
from hostler.operations import states as operation_states
from hostler.operations.accept import Target
from hostler.resources.server import states
from hostler.resources.server.moves import SERVER
from hostler.resources.transitions import Transitions
from hostler.resources.volume import moves
from hostler.resources.volume import states as volume_states

# Type → the state while it is made.
_MADE: dict[str, tuple[Transitions, str]] = {
    **{name: (noun, volume_states.CREATING) for name, noun in moves.BY_TYPE.items()},
    "server": (SERVER, states.BUILDING),
}
_CAUSE = "Its creation came to no end: no operation works on it any more."


class UnfinishedCreations:
    """Puts them into error, so that their owner sees it and can delete them."""

    name = "creations"
    about = "resources in creation without an operation"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare states with locks and operations."""
        found = []
        for kind, (noun, making) in _MADE.items():
            model = noun.model
            rows = session.scalars(sa.select(model.id).where(
                noun.state == making, model.deleted_at.is_(None),
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
        noun, making = _MADE[finding.target.type]
        return repairs.put_into_error(noun, finding, _CAUSE, only_from=(making,))
