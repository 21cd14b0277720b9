"""How an operation of one kind is carried out: how its flow is built, and what its end writes.

`succeeded` and `failed` run in the transaction that also ends the operation and frees its locks, so the resource's
state and the operation's never disagree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from sqlalchemy import orm
from taskflow import atom
from taskflow.flow import Flow
from taskflow.patterns import linear_flow

from conductor.faults import Failure
from conductor.run import Run
from hostler.flows import Compiled
from hostler.operations.kinds.kind import Kind


@dataclasses.dataclass(frozen=True)
class Procedure:
    """What the conductor adds to a kind.

    `build(*shape(run))` composes the flow, once for all runs of that shape: what it depends on besides its kind.
    `succeeded(session, run, results)` gets what the flow's tasks provided; `failed(session, run, failure)` runs
    after the revert. Both may run twice only if their first transaction did not commit.
    """

    kind: Kind[Any]
    build: Callable[..., Flow]
    succeeded: Callable[[orm.Session, Run, Mapping[str, Any]], None]
    failed: Callable[[orm.Session, Run, Failure], None]
    shape: Callable[[Run], tuple[Hashable, ...]] = lambda _run: ()
    _compiled: dict[tuple[Hashable, ...], Compiled] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def flow_for(self, run: Run) -> Compiled:
        """Return the flow of a run's shape."""
        shape = self.shape(run)
        return self._compiled.get(shape) or self._compiled.setdefault(shape, Compiled(self.build(*shape)))


def writes_nothing(_session: orm.Session, _run: Run, _outcome: Mapping[str, Any] | Failure) -> None:
    """End without a write: the records are right as they are, and a failed operation keeps its cause."""


def in_order(kind: Kind[Any], tasks: Sequence[Callable[[], atom.Atom]],
             succeeded: Callable[[orm.Session, Run, Mapping[str, Any]], None] = writes_nothing,
             failed: Callable[[orm.Session, Run, Failure], None] = writes_nothing) -> Procedure:
    """Return the procedure of a kind whose flow is always these tasks, one after the other."""
    return Procedure(kind, lambda: linear_flow.Flow(kind.name).add(*(task() for task in tasks)), succeeded, failed)
