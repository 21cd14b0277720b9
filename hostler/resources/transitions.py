"""How a stored state changes: one compare-and-set that reads the noun's table of transitions.

The naive way reads a row, decides, and writes the new state. Between the two somebody else may have changed it, and
nothing holds it to the table. Here the statement itself names the states that the row may come from, so what is not
allowed does not happen, whichever writer is first; what is refused is logged with both states.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

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

    def move(self, session: orm.Session, row_id: str, new: str, values: Mapping[str, Any] = _NOTHING, *,
             only_from: Collection[str] | None = None, where: Sequence[sa.ColumnElement[bool]] = ()) -> bool:
        """Change a row's state, and `values` with it, where the table (and `only_from`) allow it.

        `where` must hold besides. Returns whether it did.
        """
        sources = [old for old in self.states if self.allow(old, new) and (only_from is None or old in only_from)]
        result = session.execute(sa.update(self.model).where(
            self.model.id == row_id, self.state.in_(sources), *where).values({self.state: new, **_columns(
                self.model, values)}))
        if result.rowcount:  # type: ignore[attr-defined]
            return True
        present = session.scalar(sa.select(self.state).where(self.model.id == row_id))
        LOG.warning("%s %s stays %s: it does not become %s", self.noun, row_id, present or "gone", new)
        return False


def _columns(model: Any, values: Mapping[str, Any]) -> dict[Any, Any]:
    return {getattr(model, name): value for name, value in values.items()}
