"""A lean TaskFlow persistence backend over the operation's own rows.

One operation is one flow. TaskFlow saves an atom several times a task; here saves are gathered and written in one
transaction at the points where a crash would matter: when a task starts (or its revert does) and when the flow ends.
A task whose result was not yet written is run again after a crash, which every task survives by law.

That same transaction renews the lease and says whether the operation is still ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from taskflow import states as flow_states
from taskflow.persistence import base, models

from conductor.run import Run
from hostler import clock, ids
from hostler.db.engine import Database
from hostler.db.models import OperationStep
from hostler.operations import lease

_STARTED = (flow_states.RUNNING, flow_states.REVERTING)
_ENDED = (flow_states.SUCCESS, flow_states.FAILURE, flow_states.REVERTED, flow_states.REVERT_FAILURE)

_STEPS: Any = OperationStep.__table__
_VALUES: dict[str, Any] = {
    name: sa.bindparam(name) for name in ("uuid", "state", "detail", "host", "started_at", "finished_at")}
_INSERT = sa.insert(_STEPS).values(operation_id=sa.bindparam("operation"), name=sa.bindparam("step"), **_VALUES)
_UPDATE = sa.update(_STEPS).where(_STEPS.c.operation_id == sa.bindparam("operation"),
                                  _STEPS.c.name == sa.bindparam("step")).values(**_VALUES)


class OperationBackend(base.Backend):
    """Persistence of one claimed operation's flow."""

    def __init__(self, db: Database, run: Run, weights: Mapping[str, int]) -> None:
        super().__init__({})
        self._db = db
        self._run = run
        self._held = held = run.held
        self._weights = weights
        self._dirty: dict[str, Any] = {}
        self._times: dict[str, dict[str, Any]] = {}
        self._states: dict[str, str] = {}
        self._stored: set[str] = set()
        self._flow_values: dict[str, Any] = {}
        self._progressed = False
        self.book = models.LogBook(held.kind, uuid=held.id)
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
                self._stored.add(row.name)
                self._times[row.name] = {"started_at": row.started_at, "finished_at": row.finished_at}
        self.book.add(detail)
        return detail

    def note_flow(self, detail: models.FlowDetail) -> None:
        """Remember that the flow's own record changed."""
        self._flow_values = detail.to_dict()
        for atom in detail:
            if atom.name not in self._stored:
                self._dirty.setdefault(atom.name, atom)

    def note_atom(self, atom: Any) -> None:
        """Remember a changed step; write everything when it is about to act on the outside."""
        self._dirty[atom.name] = atom
        if self._states.get(atom.name) == atom.state:
            return
        self._states[atom.name] = atom.state
        times = self._times.setdefault(atom.name, {"started_at": None, "finished_at": None})
        if atom.state in _STARTED:
            times["started_at"] = times["started_at"] or clock.utcnow()
            times["finished_at"] = None
            if not isinstance(atom, models.RetryDetail):  # a retry controller touches nothing outside
                self._run.cancel_requested = self._db.write(self.flush)
                self._forget()
                if self._progressed:
                    self._progressed = False
                    self._run.progressed()
        elif atom.state in _ENDED:
            times["finished_at"] = clock.utcnow()
            self._progressed |= not isinstance(atom, models.RetryDetail)

    def flush(self, session: orm.Session) -> bool:
        """Write what changed in the caller's transaction; returns whether somebody asked the operation to stop.

        Raises LeaseLost when the operation is not ours.
        """
        # What an agent reports of the running step (`conductor.progress`) stands until the next one starts.
        done = sum(self._weights.get(name, 0) for name, times in self._times.items() if times["finished_at"])
        progress = lease.PROGRESS if self._progressed else {}
        cancel_requested = lease.write_step(
            session, self._held, **progress, flow=self._flow_values or self.flow_detail.to_dict(), host=self._run.host,
            progress=min(99, done * 100 // max(sum(self._weights.values()), 1)))
        rows = [self._row(name, atom) for name, atom in self._dirty.items()]
        new = [row for row in rows if row["step"] not in self._stored]
        known = [row for row in rows if row["step"] in self._stored]
        connection = session.connection()
        if new:
            connection.execute(_INSERT, new)
        if known:
            connection.execute(_UPDATE, known)
        return cancel_requested

    def _row(self, name: str, atom: Any) -> dict[str, Any]:
        kind = "retry" if isinstance(atom, models.RetryDetail) else "task"
        times = self._times.get(name, {"started_at": None, "finished_at": None})
        return {"operation": self._held.id, "step": name, "uuid": atom.uuid,
                "state": atom.state or flow_states.PENDING, "host": self._run.host,
                "detail": {"kind": kind, "atom": atom.to_dict()}, **times}

    def _forget(self) -> None:
        self._stored.update(self._dirty)
        self._dirty.clear()

    def get_connection(self) -> Connection:
        """Return a connection in TaskFlow's sense."""
        return Connection(self)

    def close(self) -> None:
        """Nothing is held open."""


class Connection(base.Connection):
    """What TaskFlow's storage calls; only saving is needed, loading is done once per claim."""

    def __init__(self, backend: OperationBackend) -> None:
        self._backend = backend

    @property
    def backend(self) -> OperationBackend:
        """The backend this connection belongs to."""
        return self._backend

    def close(self) -> None:
        """Nothing is held open."""

    def upgrade(self) -> None:
        """The schema is the project's; its migrations make it."""

    def validate(self) -> None:
        """Nothing to check."""

    def clear_all(self) -> None:
        """Refuse: operations are the audit record."""
        raise NotImplementedError

    def update_atom_details(self, atom_detail: Any) -> Any:
        """Save one step."""
        self._backend.note_atom(atom_detail)
        return atom_detail

    def update_flow_details(self, flow_detail: Any) -> Any:
        """Save the flow's record."""
        self._backend.note_flow(flow_detail)
        return flow_detail

    def save_logbook(self, book: Any) -> Any:
        """A book is the operation itself."""
        return book

    def destroy_logbook(self, book_uuid: str) -> None:
        """Refuse: operations are the audit record."""
        raise NotImplementedError

    def get_logbook(self, book_uuid: str, lazy: bool = False) -> Any:
        """Return the operation's book."""
        return self._backend.book

    def get_logbooks(self, lazy: bool = False) -> Iterator[Any]:
        """Return the one book."""
        return iter([self._backend.book])

    def get_flows_for_book(self, book_uuid: str) -> Iterator[Any]:
        """Return the one flow."""
        return iter(self._backend.book)

    def get_flow_details(self, fd_uuid: str, lazy: bool = False) -> Any:
        """Return the one flow."""
        return self._backend.flow_detail

    def get_atom_details(self, ad_uuid: str) -> Any:
        """Return one step."""
        return self._backend.flow_detail.find(ad_uuid)

    def get_atoms_for_flow(self, fd_uuid: str) -> Iterator[Any]:
        """Return the steps."""
        return iter(self._backend.flow_detail)
