"""One run: load the flow, run or resume it, and write its end in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import orm
from taskflow import engines
from taskflow import exceptions as flow_errors
from taskflow.flow import Flow
from taskflow.types import failure as flow_failure

from conductor.engine.persistence import OperationBackend
from conductor.engine.slots import Slots
from conductor.flows.registry import KINDS
from conductor.kinds import Failure, Kind
from conductor.run import Cloud, HandOver, Run
from hostler import errors
from hostler.operations import lease, states

LOG = logging.getLogger(__name__)

# Beyond the cap on crashes the flow is reverted; beyond this many more even the revert is given up.
REVERT_ATTEMPTS = 3


class Runner:
    """Runs claimed operations; one instance serves all workers."""

    def __init__(self, cloud: Cloud, slots: Slots, stopping: Callable[[], bool]) -> None:
        self._cloud = cloud
        self._slots = slots
        self._stopping = stopping

    def run(self, held: lease.Claim) -> HandOver | None:
        """Run an operation to its end; returns why it was handed over when it did not get there."""
        run = Run(self._cloud, held, self._slots, stopping=self._stopping)
        kind = KINDS.get(held.kind)
        try:
            if kind is None:
                self._park(run, f"This conductor knows no operation {held.kind!r}.")
            elif held.crashes >= self._cloud.conf.conductor.max_attempts + REVERT_ATTEMPTS:
                self._give_up(kind, run)
            else:
                self._run_flow(kind, run)
        except HandOver as stop:
            self._hand_over(run, stop)
            return stop
        except lease.LeaseLost:
            LOG.warning("operation %s (%s) was taken over by another conductor", held.id, held.kind)
        return None

    def _run_flow(self, kind: Kind, run: Run) -> None:
        flow = kind.build(run)
        backend = OperationBackend(run.db, run, _weights(flow))
        engine = engines.load(flow, flow_detail=backend.flow_detail, book=backend.book, backend=backend,
                              engine="serial")
        try:
            engine.run()
        except Exception as error:  # noqa: BLE001 - whatever a task raised, the operation must end
            self._end_failed(kind, run, backend, _cause(engine, error))
        else:
            self._end_succeeded(kind, run, backend, engine.storage.fetch_all())

    def _end_succeeded(self, kind: Kind, run: Run, backend: OperationBackend, results: Mapping[str, Any]) -> None:
        def work(session: orm.Session) -> None:
            backend.flush(session)
            kind.succeeded(session, run, results)
            lease.finish(session, run.held, state=states.SUCCEEDED, message=None)

        run.db.write(work)
        LOG.info("operation %s %s of %s %s succeeded", run.held.id, run.held.kind, run.held.resource_type,
                 run.held.resource_id)

    def _end_failed(self, kind: Kind, run: Run, backend: OperationBackend, failure: Failure) -> None:
        def work(session: orm.Session) -> None:
            backend.flush(session)
            kind.failed(session, run, failure)
            lease.finish(session, run.held, state=states.FAILED, message=failure.message)

        run.db.write(work)
        LOG.warning("operation %s %s of %s %s failed: %s", run.held.id, run.held.kind, run.held.resource_type,
                    run.held.resource_id, failure.message)

    def _give_up(self, kind: Kind, run: Run) -> None:
        message = f"Given up after {run.held.crashes} interrupted attempts; its revert was interrupted, too."

        def work(session: orm.Session) -> None:
            kind.failed(session, run, Failure("Internal", message))
            lease.finish(session, run.held, state=states.FAILED, message=message)

        run.db.write(work)
        LOG.error("operation %s %s of %s: %s", run.held.id, run.held.kind, run.held.resource_id, message)

    def _park(self, run: Run, message: str) -> None:
        run.db.write(lambda session: lease.finish(session, run.held, state=states.FAILED, message=message))
        LOG.error("operation %s: %s", run.held.id, message)

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
                LOG.warning("operation %s was taken over while it was handed over", run.held.id)
                return
            except errors.DatabaseUnavailable:
                # Still ours: its lease is renewed as soon as the database answers. Left to run out, it would count
                # as a crash.
                if self._stopping():
                    return
                time.sleep(self._cloud.conf.conductor.retry_delay)


def _weights(flow: Flow) -> dict[str, int]:
    """Return what each task, also of flows in the flow, weighs in the operation's progress."""
    weights: dict[str, int] = {}
    for node in flow:
        weights.update(_weights(node) if isinstance(node, Flow) else {node.name: getattr(node, "weight", 1)})
    return weights


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
        return Failure(error.code, str(error), details)
    LOG.error("an operation failed unexpectedly", exc_info=error)
    return Failure("Internal", str(errors.Internal()), f"{error!r}\n{details}")
