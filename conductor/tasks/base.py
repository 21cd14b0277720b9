"""What all tasks share."""

from __future__ import annotations

from typing import Any

from taskflow import task
from taskflow.types import failure

from conductor.run import Run


class OperationTask(task.Task):
    """A task of an operation; `self.run` reaches the cloud.

    `weight` is its part of the operation's progress. In a flow whose one long step reports its own progress, the
    others weigh nothing.
    """

    weight = 1

    def __init__(self, run: Run, **options: Any) -> None:
        super().__init__(name=options.pop("name", type(self).__name__), **options)
        self.run = run

    def pre_execute(self) -> None:
        """Check whether this task may still start."""
        self.run.check_may_start(undoing=False)

    def pre_revert(self) -> None:
        """Reverting goes on whatever happened; only a stopping conductor hands it over."""
        self.run.check_may_start(undoing=True)


def failed(result: Any) -> bool:
    """Return whether a task's own result, as its revert gets it, is its failure."""
    return isinstance(result, failure.Failure)
