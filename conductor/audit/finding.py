"""What the doctor finds: what is wrong, what would be done about it, and what was done."""

from __future__ import annotations

import dataclasses
from typing import Any

from hostler.operations.accept import Target


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong with `target`.

    `place` is where it was seen (node@backend, a node, a host), `node` and `host` are the agents whose evidence it
    rests on. `remedy` None: a person must decide. `unknown`: the remedy deletes data that no record tells of. `info`:
    worth knowing, not wrong. `hold`: nobody else may change these during the repair. `details` is the check's own
    memory; "of" in it tells findings about the same target apart.
    """

    check: str
    target: Target
    problem: str
    remedy: str | None = None
    place: str = ""
    node: str | None = None
    host: str | None = None
    unknown: bool = False
    info: bool = False
    hold: tuple[Target, ...] = ()
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells two findings apart, in whichever look they were found."""
        return (self.check, self.target.type, self.target.id, self.place, str(self.details.get("of", "")))

    def to_map(self, outcome: str | None = None) -> dict[str, Any]:
        """Return what is kept and printed of it; `outcome` is what was done."""
        return {"check": self.check, "type": self.target.type, "id": self.target.id, "place": self.place,
                "problem": self.problem, "remedy": self.remedy, "unknown": self.unknown,
                "info": self.info, "outcome": outcome}


class NotRepaired(Exception):
    """Why something was left as it is, in words for the operator."""
