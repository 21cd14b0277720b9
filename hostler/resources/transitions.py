"""How a stored state changes: one compare-and-set that reads the noun's table of transitions.

The naive way reads a row, decides, and writes the new state. Between the two somebody else may have changed it, and
nothing checks the table. Here the statement itself names the states that the row may come from, so a change that the
table forbids does not happen, whichever writer is first. It is logged with both states. The price is one more
statement for each refusal.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import orm

LOG = logging.getLogger(__name__)
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Transitions:
    """A noun's states and the table of its transitions: `allow(old, new)`, of which staying is always one."""

    noun: str
    model: Any
    state: orm.InstrumentedAttribute[str]
    states: Collection[str]
    allow: Callable[[str, str], bool]

    def move(self, session: orm.Session, row_id: str, new: str | None, values: Mapping[str, Any] = _NOTHING, *,
             only_from: Collection[str] | None = None, where: Sequence[sa.ColumnElement[bool]] = ()) -> bool:
        """Change a row's state, and `values` with it, where the table (and `only_from`) allow it.

        `where` must hold besides. With `new` None the row keeps its state, whatever that is, and gets the values.
        Returns whether it did.
        """
        if self.move_all(session, new, values, only_from=only_from, where=(self.model.id == row_id, *where)):
            return True
        if new is not None:
            present = session.scalar(sa.select(self.state).where(self.model.id == row_id))
            LOG.warning("%s %s stays %s: it does not become %s", self.noun, row_id, present or "gone", new)
        return False

    def move_all(self, session: orm.Session, new: str | None, values: Mapping[str, Any] = _NOTHING, *,
                 only_from: Collection[str] | None = None, where: Sequence[sa.ColumnElement[bool]]) -> int:
        """As `move`, for all rows that match `where`; returns how many changed."""
        changes = {getattr(self.model, name): value for name, value in values.items()}
        if new is not None:
            changes[self.state] = new
            where = (*where, self.state.in_([old for old in self.states if self.allow(old, new)]))
        if only_from is not None:
            where = (*where, self.state.in_(only_from))
        result = session.execute(sa.update(self.model).where(*where).values(changes))
        return cast("sa.CursorResult[Any]", result).rowcount
