"""What all tasks share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final

from sqlalchemy import orm
from taskflow.types import failure

from conductor.run import Run
from hostler import flows

_RUN: Final[ContextVar[Run]] = ContextVar("run")


@contextlib.contextmanager
def running(run: Run) -> Iterator[None]:
    """Have the tasks that this thread executes work for `run`."""
    token = _RUN.set(run)
    try:
        yield
    finally:
        _RUN.reset(token)


class OperationTask(flows.Task):
    """A task of an operation; `self.run` reaches the cloud.

    All runs of a kind share its tasks, at the same time: what a task remembers of a run does not belong in its
    attributes.

    `weight` is its part of the operation's progress. In a flow whose one long step reports its own progress, the
    others weigh nothing. Past the point of no return (`no_return`) a cancellation comes too late.

    That a task starts is written down before it does. An `unannounced` one does without: after a crash, the flow
    resumes at the task before it, which must be fit to run again even then. What a task always writes before it acts
    may go into that same transaction, as its `opening`.
    """

    weight = 1
    no_return = False
    unannounced = False
    opening: Callable[[orm.Session], None] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(name=options.pop("name", type(self).__name__), **options)

    @property
    def run(self) -> Run:
        """The run that this thread carries out."""
        return _RUN.get()

    def pre_execute(self) -> None:
        """Check whether this task may still start."""
        self.run.check_may_start(undoing=self.no_return)

    def pre_revert(self) -> None:
        """Reverting goes on whatever happened; only a stopping conductor hands it over."""
        self.run.check_may_start(undoing=True)


def failed(result: Any) -> bool:
    """Return whether a task's own result, as its revert gets it, is its failure."""
    return isinstance(result, failure.Failure)
