"""How an operation of one kind is carried out: how its flow is built, and what its end writes.

`succeeded` and `failed` run in the transaction that also ends the operation and frees its locks, so the resource's
state and the operation's never disagree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from sqlalchemy import orm
from taskflow.flow import Flow

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
