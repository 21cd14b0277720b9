"""TaskFlow's records of a flow, kept in the operation's own rows.

One operation is one flow. TaskFlow saves an atom several times a task; here saves are gathered and written in one
transaction at the points where a crash would matter: when a task starts (or its revert does), unless it is
`unannounced`, and when the flow ends. A task whose result was not yet written is run again after a crash, which every
task survives by law.

That same transaction says whether the operation is still ours, and whether it was asked to stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow import states as flow_states
from taskflow.persistence import models

from conductor.run import Run
from hostler import clock, ids
from hostler.db.engine import Database
from hostler.db.models import OperationStep
from hostler.operations import lease, steps

_STARTED = (flow_states.RUNNING, flow_states.REVERTING)
_ENDED = (flow_states.SUCCESS, flow_states.FAILURE, flow_states.REVERTED, flow_states.REVERT_FAILURE)


class FlowRecord:
    """The record of one claimed operation's flow; the engine's `hostler.flows.Saver`."""

    def __init__(self, db: Database, run: Run, tasks: Mapping[str, Any]) -> None:
        self._db = db
        self._run = run
        self._held = run.held
        self._weights = {name: getattr(task, "weight", 1) for name, task in tasks.items()}
        self._unannounced = {name for name, task in tasks.items() if getattr(task, "unannounced", False)}
        self._openings = {name: task.opening for name, task in tasks.items() if getattr(task, "opening", None)}
        self._dirty: dict[str, Any] = {}
        self._times: dict[str, dict[str, Any]] = {}
        self._states: dict[str, str] = {}
        self._progressed = False
        self._stored_flow = self._held.flow
        self.flow_detail = self._load()

    def _load(self) -> models.FlowDetail:
        if self._held.flow is None:
            detail = models.FlowDetail(self._held.kind, uuid=ids.new_id())
        else:
            detail = models.FlowDetail.from_dict(self._held.flow)
            with self._db.reading() as session:
                rows = session.execute(sa.select(OperationStep.name, OperationStep.detail,
                                                 OperationStep.started_at, OperationStep.finished_at)
                                       .where(OperationStep.operation_id == self._held.id)).all()
            for row in rows:
                kind = models.RetryDetail if row.detail.get("kind") == "retry" else models.TaskDetail
                detail.add(kind.from_dict(row.detail["atom"]))
                self._times[row.name] = {"started_at": row.started_at, "finished_at": row.finished_at}
        return detail

    def update_flow_details(self, flow_detail: models.FlowDetail) -> models.FlowDetail:
        """Leave the flow's state to the next write; steps that have not begun have no record."""
        return flow_detail

    def update_atom_details(self, atom_detail: models.AtomDetail) -> models.AtomDetail:
        """Remember a changed step; write everything when it is about to act on the outside."""
        self._dirty[atom_detail.name] = atom_detail
        if self._states.get(atom_detail.name) != atom_detail.state:
            self._note_state(atom_detail)
        return atom_detail

    def _note_state(self, atom: models.AtomDetail) -> None:
        self._states[atom.name] = atom.state
        times = self._times.setdefault(atom.name, {"started_at": None, "finished_at": None})
        if atom.state in _STARTED:
            times["started_at"] = times["started_at"] or clock.utcnow()
            times["finished_at"] = None
            if not self._may_wait(atom):
                self._run.cancel_requested = self._announce(atom)
                self._forget()
                if self._progressed:
                    self._progressed = False
                    self._run.progressed()
        elif atom.state in _ENDED:
            times["finished_at"] = clock.utcnow()
            self._progressed |= not isinstance(atom, models.RetryDetail)

    def _announce(self, atom: models.AtomDetail) -> bool:
        """Write that a step starts, with its opening; returns and raises as `flush`."""
        opening = self._openings.get(atom.name) if atom.state == flow_states.RUNNING else None
        if opening is None:
            return steps.write_alone(self._db, self.flush)

        def work(session: orm.Session) -> bool:
            cancelled = self.flush(session)
            opening(session)
            return cancelled

        return self._db.write(work)

    def _may_wait(self, atom: models.AtomDetail) -> bool:
        """Return whether a step that starts is written with the next one."""
        if isinstance(atom, models.RetryDetail):  # it touches nothing outside
            return True
        return atom.state == flow_states.RUNNING and atom.name in self._unannounced

    def flush(self, session: orm.Session) -> bool:
        """Write what changed in the caller's transaction; returns whether somebody asked the operation to stop.

        Raises LeaseLost when the operation is not ours.
        """
        # What an agent reports of the running step (`conductor.progress`) stands until the next one starts.
        done = sum(self._weights.get(name, 0) for name, times in self._times.items() if times["finished_at"])
        values: dict[str, Any] = {**lease.PROGRESS} if self._progressed else {}
        if (flow := self.flow_detail.to_dict()) != self._stored_flow:
            values["flow"] = flow
        values |= {"host": self._run.host, "progress": min(99, done * 100 // max(sum(self._weights.values()), 1))}
        return self._write(session, values)

    def end(self, session: orm.Session, *, state: str, message: str | None) -> None:
        """Write the steps and the end of the operation, which keeps its locks; raises as `flush`."""
        values = {"host": self._run.host, **lease.end_values(self._held, state=state, message=message)}
        self._write(session, values, at_end=True)

    def _write(self, session: orm.Session, values: dict[str, Any], *, at_end: bool = False) -> bool:
        rows = [self._row(name, atom) for name, atom in self._dirty.items()]
        return steps.write(session, self._held, rows, values, at_end=at_end)

    def _row(self, name: str, atom: Any) -> dict[str, Any]:
        kind = "retry" if isinstance(atom, models.RetryDetail) else "task"
        return {"name": name, "uuid": atom.uuid,
                "state": atom.state or flow_states.PENDING, "host": self._run.host,
                "detail": {"kind": kind, "atom": atom.to_dict()}, **self._times[name]}

    def _forget(self) -> None:
        self._dirty.clear()
        self._stored_flow = self.flow_detail.to_dict()
