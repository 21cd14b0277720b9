"""Projects that use more than their quota allows. That is not a fault: a limit may have been lowered since."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding, NotRepaired
from conductor.audit.repair import Repairs
from hostler.db.models import Project
from hostler.operations.accept import Target
from hostler.resources import quota

_SUMMED = [name for name in quota.RESOURCES if name not in quota.PER_ITEM]


class QuotaOverruns:
    """Says so; use is counted from rows each time, so there is no counter that could be wrong."""

    name = "quota"
    about = "projects above their quota (for your information)"

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Compare sums with limits."""
        found = []
        for project_id in session.scalars(sa.select(Project.id).order_by(Project.id)):
            limits = quota.limits(session, inventory.conf, project_id)
            used = quota.usage(session, project_id, _SUMMED)
            over = [f"{used[name]} {name} of {limits[name]}" for name in _SUMMED
                    if name in used and 0 <= limits[name] < used[name]]
            if over:
                found.append(Finding(self.name, Target("project", project_id),
                                     f"uses more than its quota allows: {', '.join(over)}", info=True))
        return found

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Nothing is wrong."""
        raise NotRepaired("nothing is wrong")
