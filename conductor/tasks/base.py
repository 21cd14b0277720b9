"""What all tasks share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from sqlalchemy import exc
from taskflow import task
from taskflow.types import failure

from conductor.run import HandOver, Run
from hostler.db.outage import is_away


def _waiting_for_the_database(step: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a task's method: a database that is away is no failure to be undone, the task runs again later."""
    @functools.wraps(step)
    def wrapped(self: OperationTask, *arguments: Any, **named: Any) -> Any:
        try:
            return step(self, *arguments, **named)
        except exc.DBAPIError as error:
            if not is_away(error):
                raise
            raise HandOver(reason="the database does not answer", host=self.run.host, waiting_for="database",
                           delay_s=float(self.run.conf.conductor.retry_delay)) from error

    return wrapped


class OperationTask(task.Task):
    """A task of an operation; `self.run` reaches the cloud.

    `weight` is its part of the operation's progress. Where one long step reports its own per cent, the others weigh
    nothing.
    """

    weight = 1

    def __init__(self, run: Run, **options: Any) -> None:
        super().__init__(name=options.pop("name", type(self).__name__), **options)
        self.run = run

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("execute", "revert"):
            if name in cls.__dict__:
                setattr(cls, name, _waiting_for_the_database(cls.__dict__[name]))

    @_waiting_for_the_database
    def pre_execute(self) -> None:
        """Look whether this task may still start."""
        self.run.check_may_start(undoing=False)

    @_waiting_for_the_database
    def pre_revert(self) -> None:
        """Reverting goes on whatever happened; only a stopping conductor hands it over."""
        self.run.check_may_start(undoing=True)


def failed(result: Any) -> bool:
    """Return whether a task's own result, as its revert gets it, is its failure."""
    return isinstance(result, failure.Failure)
