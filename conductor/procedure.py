"""How an operation of one kind is carried out: how its flow is built, and what its end writes.

`succeeded` and `failed` run in the transaction that also ends the operation and frees its locks, so the resource's
state and the operation's never disagree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import orm
from taskflow import flow

from conductor.faults import Failure
from conductor.run import Run
from hostler.operations.kinds.kind import Kind


@dataclasses.dataclass(frozen=True)
class Procedure:
    """What the conductor adds to a kind.

    `succeeded(session, run, results)` gets what the flow's tasks provided; `failed(session, run, failure)` runs
    after the revert. Both may run twice only if their first transaction did not commit.
    """

    kind: Kind[Any]
    build: Callable[[Run], flow.Flow]
    succeeded: Callable[[orm.Session, Run, Mapping[str, Any]], None]
    failed: Callable[[orm.Session, Run, Failure], None]
