"""What every check is: one kind of thing that can be wrong, how it is found and repaired."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import orm

from conductor.audit.evidence import Inventory
from conductor.audit.finding import Finding
from conductor.audit.repair import Repairs


class Check(Protocol):
    """One kind of thing that can be wrong."""

    name: str
    about: str

    def find(self, session: orm.Session, inventory: Inventory) -> list[Finding]:
        """Return what is wrong, leaving out what operations hold (`inventory.locked`)."""

    def repair(self, repairs: Repairs, finding: Finding) -> str:
        """Do the remedy of a finding that was found again just now; returns what was done. Raises NotRepaired."""
