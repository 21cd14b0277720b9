"""One run: load the flow, run or resume it, and write its end in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import orm
from taskflow import exceptions as flow_errors
from taskflow.flow import Flow
from taskflow.types import failure as flow_failure

from conductor.engine.isolation import Isolation
from conductor.engine.persistence import FlowRecord
from conductor.engine.slots import Slots
from conductor.faults import Failure
from conductor.flows.registry import PROCEDURES
from conductor.procedure import Procedure
from conductor.run import CloudAccess, HandOver, Run
from conductor.tasks.base import running
from hostler import errors
from hostler.flows import Engine
from hostler.operations import lease, states

LOG = logging.getLogger(__name__)

# An operation that kills its conductor is reverted; after this many more interruptions even the revert is given up.
REVERT_ATTEMPTS = 3


class Runner:
    """Runs claimed operations; one instance serves all workers."""

    def __init__(self, cloud: CloudAccess, slots: Slots, stopping: Callable[[], bool],
                 wake: Callable[[str], None] = lambda _operation_id: None) -> None:
        self._cloud = cloud
        self._slots = slots
        self._stopping = stopping
        self._wake = wake
        options = cloud.conf.conductor
        self._isolation = Isolation(cloud.db, options.max_attempts, options.lease_seconds, stopping)

    def run(self, held: lease.Claim) -> HandOver | None:
        """Run an operation to its end; returns why it was handed over when it did not get there."""
        procedure = PROCEDURES.get(held.kind)
        if procedure is None:
            self._park(held, f"This conductor knows no operation {held.kind!r}.")
            return None
        try:
            run = Run(self._cloud, held, procedure.kind, self._slots, stopping=self._stopping,
                      wake=self._wake, progressed=self._isolation.release)
        except errors.InvalidArguments as error:
            self._park(held, str(error))
            return None
        except errors.NewerArguments as error:
            return self._leave(held, str(error))
        return self._run(procedure, run)

    def _run(self, procedure: Procedure, run: Run) -> HandOver | None:
        held = run.held
        try:
            with self._isolation.admitting(held, run.db):
                if held.crashes_alone >= lease.ALONE_LIMIT + REVERT_ATTEMPTS:
                    self._give_up(procedure, run)
                else:
                    self._run_flow(procedure, run)
        except HandOver as stop:
            self._hand_over(run, stop)
            return stop
        except lease.LeaseLost:
            self._note_lost(held)
        return None

    def _run_flow(self, procedure: Procedure, run: Run) -> None:
        compiled = procedure.flow_for(run)
        record = FlowRecord(run.db, run, _tasks(compiled.flow))
        # The arguments are not saved with it: they are in the operation already, and may be secret.
        engine = Engine(compiled, flow_detail=record.flow_detail, saver=record, store=run.store)
        try:
            with running(run):
                engine.run()
        except Exception as error:  # noqa: BLE001 - the operation must end, no matter what a task raised
            self._end_failed(procedure, run, record, _cause(engine, error))
        else:
            self._end_succeeded(procedure, run, record, engine.storage.fetch_all())

    def _end_succeeded(self, procedure: Procedure, run: Run, record: FlowRecord, results: Mapping[str, Any]) -> None:
        def work(session: orm.Session) -> None:
            record.end(session, state=states.SUCCEEDED, message=None)
            procedure.succeeded(session, run, results)
            lease.free(session, run.held)

        run.end(work)
        LOG.info("operation %s %s of %s %s succeeded", run.held.id, run.held.kind, run.held.resource_type,
                 run.held.resource_id)

    def _end_failed(self, procedure: Procedure, run: Run, record: FlowRecord, failure: Failure) -> None:
        def work(session: orm.Session) -> None:
            record.end(session, state=states.FAILED, message=failure.message)
            procedure.failed(session, run, failure)
            lease.free(session, run.held)

        run.end(work)
        LOG.warning("operation %s %s of %s %s failed: %s", run.held.id, run.held.kind, run.held.resource_type,
                    run.held.resource_id, failure.message)

    def _give_up(self, procedure: Procedure, run: Run) -> None:
        message = f"Given up after {run.held.crashes} interrupted attempts; its revert was interrupted, too."

        def work(session: orm.Session) -> None:
            procedure.failed(session, run, Failure("Internal", message))
            lease.finish(session, run.held, state=states.FAILED, message=message)

        run.end(work)
        LOG.error("operation %s %s of %s: %s", run.held.id, run.held.kind, run.held.resource_id, message)

    def _park(self, held: lease.Claim, message: str) -> None:
        self._cloud.db.write(lambda session: lease.finish(session, held, state=states.FAILED, message=message))
        LOG.error("operation %s: %s", held.id, message)

    def _leave(self, held: lease.Claim, reason: str) -> HandOver:
        """Leave an operation, while a rolling upgrade goes on, to a conductor that understands it."""
        stop = HandOver(reason=reason, delay_s=float(self._cloud.conf.conductor.retry_delay))
        self._cloud.db.write(lambda session: lease.hand_over(
            session, held, delay_s=stop.delay_s, host=held.host, waiting_for=None, waiting_since=held.waiting_since))
        LOG.warning("operation %s %s waits: %s", held.id, held.kind, reason)
        return stop

    def _note_lost(self, held: lease.Claim) -> None:
        """Another conductor has the operation now. This one lives, so it was no crash."""
        LOG.warning("operation %s %s was taken over by another conductor", held.id, held.kind)
        try:
            self._cloud.db.write(lambda session: lease.forgive(
                session, held, alone=held.crashes >= self._cloud.conf.conductor.max_attempts))
        except errors.DatabaseUnavailable as error:
            LOG.warning("that operation %s was not interrupted by a crash could not be written: %s", held.id, error)

    def _hand_over(self, run: Run, stop: HandOver) -> None:
        host = stop.host or run.host
        LOG.info("operation %s %s waits: %s", run.held.id, run.held.kind, stop.reason)
        while True:
            try:
                self._cloud.db.write(lambda session: lease.hand_over(
                    session, run.held, delay_s=stop.delay_s, host=host, waiting_for=stop.waiting_for,
                    waiting_since=run.waiting_since))
                return
            except lease.LeaseLost:
                self._note_lost(run.held)
                return
            except errors.DatabaseUnavailable:
                # Still ours: its lease is renewed as soon as the database answers. Left to run out, it would count
                # as a crash.
                if self._stopping():
                    return
                time.sleep(self._cloud.conf.conductor.retry_delay)


def _tasks(flow: Flow) -> dict[str, Any]:
    """Return the tasks of a flow, also of flows in it, by name."""
    tasks: dict[str, Any] = {}
    for node in flow:
        tasks.update(_tasks(node) if isinstance(node, Flow) else {node.name: node})
    return tasks


def _cause(engine: Any, error: Exception) -> Failure:
    """Return the first failure of the flow, in words for the user."""
    failures = list(engine.storage.get_execute_failures().values())
    reverts = list(engine.storage.get_revert_failures().values())
    for failed in reverts:
        LOG.error("a revert failed and may leave something behind: %s\n%s", failed.exception_str,
                  failed.traceback_str)
    if failures:
        return _from_flow_failure(failures[0])
    if isinstance(error, flow_errors.WrappedFailure):
        return _from_flow_failure(next(iter(error)))
    return _from_exception(error)


def _from_flow_failure(failed: flow_failure.Failure) -> Failure:
    if failed.exception is not None:
        return _from_exception(failed.exception, failed.traceback_str or "")
    name = next(iter(failed), "").rpartition(".")[2]
    known = getattr(errors, name, None)
    if known is not None or name == "Cancelled":
        return Failure(getattr(known, "code", name), failed.exception_str, failed.traceback_str or "")
    return Failure("Internal", str(errors.Internal()), f"{failed.exception_str}\n{failed.traceback_str}")


def _from_exception(error: BaseException, details: str = "") -> Failure:
    if isinstance(error, errors.HostlerError):
        if error.details != str(error):
            LOG.warning("an operation failed: %s", error.details)
            details = f"{error.details}\n{details}".strip()
        return Failure(error.code, str(error), details)
    LOG.error("an operation failed unexpectedly", exc_info=error)
    return Failure("Internal", str(errors.Internal()), f"{error!r}\n{details}")
