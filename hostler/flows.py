"""TaskFlow's serial engine for flows that one thread runs: its whole process, without what only parallel runs need.

`taskflow.engines.load` looks up a plug-in and compiles the flow at each run; its storage takes a lock for each look at
a state, wraps each save in a retry, and saves each task's percentage beside its state. That makes three quarters of a
run's cost. Here nobody else sees a run's storage, a failed save ends the run, and agents report progress themselves
(`conductor.progress`), so `Engine` leaves all of it out. What runs, and in which order, is TaskFlow's affair.

>>> COMPILED = Compiled(make_flow())             # once: runs in any thread share it, so its tasks keep nothing of a run
>>> engine = Engine(COMPILED, store={"size_gib": 1})
>>> engine.run()
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, Final, Protocol

from taskflow import storage as flow_storage
from taskflow import task
from taskflow.engines.action_engine.compiler import PatternCompiler
from taskflow.engines.action_engine.engine import SerialActionEngine
from taskflow.flow import Flow
from taskflow.persistence import models
from taskflow.utils import misc

from hostler import ids


class Task(task.Task):
    """A task that publishes no progress events, so that several runs may share it."""

    TASK_EVENTS = ()


class Compiled:
    """A flow with its compilation, which the first run makes."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.compiler = PatternCompiler(flow)


class Saver(Protocol):
    """Where a run's records are saved: the part of TaskFlow's `persistence.base.Connection` that its storage calls."""

    def update_flow_details(self, flow_detail: models.FlowDetail) -> models.FlowDetail:
        """Save the flow's record; return it as saved."""

    def update_atom_details(self, atom_detail: models.AtomDetail) -> models.AtomDetail:
        """Save a step's record; return it as saved."""


class Engine(SerialActionEngine):  # type: ignore[misc]
    """Runs a flow in the calling thread.

    `store` holds the flow's arguments, which are never saved. `flow_detail` is the record that `saver` keeps, of an
    earlier run when this one resumes it; without them nothing is saved.
    """

    def __init__(self, compiled: Compiled, *, store: Mapping[str, Any], flow_detail: models.FlowDetail | None = None,
                 saver: Saver | None = None) -> None:
        flow = compiled.flow
        detail = flow_detail if flow_detail is not None else models.FlowDetail(flow.name, uuid=ids.new_id())
        super().__init__(flow, detail, saver if saver is not None else _Unsaved(), {"gather_statistics": False})
        self._compiler = compiled.compiler
        self.storage.inject(store, transient=True)

    @misc.cachedproperty  # type: ignore[untyped-decorator]
    def storage(self) -> _Storage:
        """The run's records."""
        return _Storage(self._flow_detail, backend=self._backend, scope_fetcher=self._scopes_of)

    def _scopes_of(self, task_name: str) -> Any:
        """Return an iterator of what a task sees; None before the flow is compiled."""
        return self._runtime.fetch_scopes_for(task_name) if self._compiled else None


class _Unsaved:
    """Saves nothing: the run ends with its caller's transaction."""

    def update_flow_details(self, flow_detail: models.FlowDetail) -> models.FlowDetail:
        return flow_detail

    def update_atom_details(self, atom_detail: models.AtomDetail) -> models.AtomDetail:
        return atom_detail


class _NoLock:
    """The lock of a storage that only one thread sees."""

    def __init__(self) -> None:
        self.read_lock: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        self.write_lock = self.read_lock


class _Storage(flow_storage.Storage):  # type: ignore[misc]
    """TaskFlow's storage without its decorators (locks, retries); `_backend` is a `Saver`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._lock = _NoLock()

    def _with_connection(self, save: Callable[..., Any], *arguments: Any) -> Any:
        return save(self._backend, *arguments)

    def set_task_progress(self, *_arguments: Any, **_named: Any) -> None:
        """Save no percentage: a step's state says whether it runs."""


_OWN: Final = frozenset(vars(_Storage))
for _name, _method in vars(flow_storage.Storage).items():
    if isinstance(_method, FunctionType) and hasattr(_method, "__wrapped__") and _name not in _OWN:
        setattr(_Storage, _name, _method.__wrapped__)
