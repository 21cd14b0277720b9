"""What an operation kind is: how its flow is built, and what its end writes.

`succeeded` and `failed` run in the transaction that also ends the operation and frees its locks, so the resource's
state and the operation's never disagree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import orm
from taskflow import flow

from conductor.run import Run


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why an operation failed: `message` is for the user, `details` for the administrator."""

    code: str
    message: str
    details: str = ""
    http_status: int = 500


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of operation.

    `succeeded(session, run, results)` gets what the flow's tasks provided; `failed(session, run, failure)` runs
    after the revert. Both may run twice only if their first transaction did not commit.
    """

    build: Callable[[Run], flow.Flow]
    succeeded: Callable[[orm.Session, Run, Mapping[str, Any]], None]
    failed: Callable[[orm.Session, Run, Failure], None]
