"""One run of one operation: what its tasks work with.

Tasks reach the cloud through here: the database, the scheduler, the agents. A host that shows no life ends the run
without failing it (`HandOver`): the operation goes back, and its flow goes on at the same task later. Only past
the patience of its kind (`Run.patience_s`) does silence become a failure.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Concatenate, NoReturn, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy import orm

from compute.rpcapi import ComputeAPI
from hostler import errors
from hostler.context import RequestContext
from hostler.db.engine import Database
from hostler.images.store import ImageStore
from hostler.operations import lease
from hostler.operations.agents import compute_agent, volume_agent
from hostler.operations.kinds.kind import A, Kind
from scheduler.rpcapi import BackendChoice, BackendRequest, Choice, Request, Scheduler
from volume.rpcapi import VolumeAPI

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class HandOver(BaseException):
    """Stop this run here, as a crash would, and let the operation go on later.

    Not an `Exception`, so that TaskFlow leaves the task RUNNING (and thus to be run again) instead of reverting.
    """

    def __init__(self, *, reason: str, delay_s: float, host: str | None = None,
                 waiting_for: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay_s = delay_s
        self.host = host
        self.waiting_for = waiting_for


class Cancelled(errors.Conflict):
    """Another operation (a deletion) asked this one to stop; what it did is reverted."""

    code = "Cancelled"
    template = "The operation was cancelled."


class HostSlots(Protocol):
    """The limit on runs that wait for one host (`conductor.engine.slots`)."""

    def enter(self, operation_id: str, host: str) -> bool:
        """Take a place for a run at `host`; False when all are taken."""


class Silences:
    """Hosts that were silent a moment ago: what can wait for their reconciliation does not ask them again at once."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._until: dict[str, float] = {}

    def note(self, host: str) -> None:
        """Remember that `host` did not answer."""
        self._until[host] = time.monotonic() + self.window_s

    def holds(self, host: str) -> bool:
        """Return whether `host` was silent within the window."""
        return self._until.get(host, 0.0) > time.monotonic()


class Outages:
    """When control services, broker or database were last seen to be down; a start counts, for all may be starting.

    For a while afterwards silence says nothing about an agent: nobody was there to hear it. A scheduler that judged by
    the time of its last report would refuse the first requests after an outage for hosts that are about to report.
    """

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._at = time.monotonic()

    def note(self) -> None:
        """Remember that something was down just now."""
        self._at = time.monotonic()

    def are_recent(self) -> bool:
        """Return whether agents may not have had the time to report since."""
        return time.monotonic() - self._at < self._window_s


class CloudAccess:
    """What all runs of a conductor share."""

    def __init__(self, conf: cfg.ConfigOpts, db: Database, scheduler: Scheduler, compute: ComputeAPI,
                 images: ImageStore, volumes: VolumeAPI) -> None:
        self.conf = conf
        self.db = db
        self.scheduler = scheduler
        self.compute = compute
        self.images = images
        self.volumes = volumes
        self.silences = Silences(window_s=2 * conf.bus.silence_timeout)
        self.outages = Outages(window_s=conf.service_down_time)


class Run:
    """One claimed operation on its way."""

    def __init__(self, cloud: CloudAccess, held: lease.Claim, kind: Kind[Any], slots: HostSlots, *,
                 stopping: Callable[[], bool] = lambda: False,
                 wake: Callable[[str], None] = lambda _operation_id: None,
                 progressed: Callable[[str], None] = lambda _operation_id: None) -> None:
        self.cloud = cloud
        self.held = held
        self.kind = kind
        self._arguments = kind.arguments.load(held.arguments, held.arguments_version)
        self._claimed_at = time.monotonic()
        # An unreachable database is not a task failure: the run stops where it is.
        self.db = cloud.db.raising(self._wait_for_database)
        self._wake = wake
        self._accepted: list[str] = []
        self.conf = cloud.conf
        self._slots = slots
        self._stopping = stopping
        self._progressed = progressed
        self.host: str | None = held.host
        self.waiting_since: dt.datetime | None = held.waiting_since
        self.cancel_requested = held.cancel_requested  # read again with the write that opens each step
        # What one task has read and a later one may use; a run that takes over reads it again.
        self.memory: dict[str, Any] = {}
        self.context = RequestContext(
            request_id=held.request_id, user_id=held.user_id, project_id=held.project_id, is_admin=True,
            operation_id=held.id, attempt=held.attempt)

    def _wait_for_database(self, error: errors.DatabaseUnavailable) -> HandOver:
        self.cloud.outages.note()
        return HandOver(reason=str(error), delay_s=self._delay(), host=self.host, waiting_for="database")

    @property
    def store(self) -> dict[str, Any]:
        """The operation's arguments by name, for the tasks that require them."""
        return {field.name: getattr(self._arguments, field.name) for field in dataclasses.fields(self._arguments)}

    def arguments_of(self, kind: Kind[A]) -> A:
        """Return the operation's arguments, which are those of `kind` or of one that shares them."""
        assert isinstance(self._arguments, kind.arguments)
        return self._arguments

    @property
    def resource_id(self) -> str:
        """The resource the operation is about."""
        return self.held.resource_id

    def progressed(self) -> None:
        """Note that a step was finished, and that this is written."""
        self._progressed(self.held.id)

    def check_may_start(self, undoing: bool) -> None:
        """Raise what must keep the next task from starting: a stop, a cancellation, too many crashes."""
        if self._stopping():
            raise HandOver(reason="the conductor stops", delay_s=0, host=self.host)
        if undoing:
            return
        if self.held.crashes_alone >= lease.ALONE_LIMIT:
            raise errors.Unavailable(f"Given up after {self.held.crashes} interrupted attempts.", part="conductor")
        if self.kind.cancellable and self.cancel_requested:
            raise Cancelled()

    def ask_host(self, host: str, method: Callable[Concatenate[RequestContext, str, Arguments], Result],
                 *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        """Return what a method of `ComputeAPI` answers for `host` in the name of this attempt.

            run.ask_host(host, run.cloud.compute.spawn_server, spec, groups)

        Raises HandOver when the host is silent or has no place for another run, HostUnreachable when it has been
        silent longer than `patience_s`, or what the agent raised.
        """
        return self._ask(host, lambda waited_s: errors.HostUnreachable(host=host, waited_s=waited_s),
                         lambda: method(self.context, host, *arguments, **named))

    def ask_host_to_copy(self, host: str, method: Callable[Concatenate[RequestContext, str, Arguments], Result],
                         *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        """As `ask_host`, for what may take long: copies queue among themselves, never ahead of short calls."""
        return self._ask(compute_agent(host, copying=True),
                         lambda waited_s: errors.HostUnreachable(host=host, waited_s=waited_s),
                         lambda: method(self.context, host, *arguments, **named))

    def ask_node(self, node: str, method: Callable[Concatenate[RequestContext, str, Arguments], Result],
                 *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        """As `ask_host`, a method of `VolumeAPI`; raises NodeUnreachable when the node stays silent."""
        return self._ask(volume_agent(node), _node_unreachable(node),
                         lambda: method(self.context, node, *arguments, **named))

    def ask_node_to_copy(self, node: str, method: Callable[Concatenate[RequestContext, str, Arguments], Result],
                         *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        """As `ask_node`, for what may take long: copies queue among themselves, never ahead of short calls."""
        return self._ask(volume_agent(node, copying=True), _node_unreachable(node),
                         lambda: method(self.context, node, *arguments, **named))

    def _ask(self, agent: str, unreachable: Callable[[int], errors.HostUnreachable],
             call: Callable[[], Result]) -> Result:
        if not self._slots.enter(self.held.id, agent):
            raise HandOver(reason=f"{agent} is busy", delay_s=0, host=agent)
        self.host = agent
        try:
            answer = call()
        except errors.Silent as error:
            raise self._wait_for(agent, error, unreachable) from error
        except errors.DatabaseUnavailable as error:
            # The agent asked a conductor for what it needs for this call, and that one could not look it up.
            raise self._wait_for_database(error) from error
        except errors.StaleAttempt as error:
            raise lease.LeaseLost(self.held.id) from error
        except errors.Unwanted as error:
            raise Cancelled() from error
        self.waiting_since = None
        return answer

    def ask_scheduler(self, request: Request) -> Choice:
        """Return the host the scheduler chose and claimed; waits without limit for a scheduler, its database or a
        broker that does not answer."""
        asked = dataclasses.replace(request, patient=self._counts_on_return)
        return self._choose("hosts", lambda: self.cloud.scheduler.select_host(self.context, asked))

    def ask_for_backends(self, requests: Sequence[BackendRequest]) -> list[BackendChoice]:
        """As `ask_scheduler`, for the back ends of volumes: all are claimed or none; raises NoValidBackend."""
        asked = [dataclasses.replace(request, patient=self._counts_on_return) for request in requests]
        return self._choose("backends", lambda: self.cloud.scheduler.select_backends(self.context, asked))

    def ask_for_backend(self, request: BackendRequest) -> BackendChoice:
        """As `ask_for_backends`, for one volume."""
        [choice] = self.ask_for_backends([request])
        return choice

    @property
    def _counts_on_return(self) -> bool:
        """Whether the scheduler is to count on every enabled host to return, however long it has been silent.

        An operation that waits already does so until its own patience ends: the hosts it waits for were silent for a
        short time when it began.
        """
        return self.waiting_since is not None or self.cloud.outages.are_recent()

    def _choose(self, what: str, call: Callable[[], Result]) -> Result:
        try:
            choice = call()
        except errors.StaleAttempt as error:
            raise lease.LeaseLost(self.held.id) from error
        except errors.Unavailable as error:
            self.cloud.outages.note()
            self.waiting_since = None
            missing = "database" if isinstance(error, errors.DatabaseUnavailable) else "scheduler"
            raise HandOver(reason=str(error), delay_s=self._delay(), waiting_for=missing) from error
        except (errors.NoValidHost, errors.NoValidBackend) as error:
            if error.fields.get("retry") and not self._out_of_patience():
                self._start_waiting()
                raise HandOver(reason=str(error), delay_s=self._delay(), waiting_for=what) from error
            raise
        self.waiting_since = None
        return choice

    def wait_for_silent(self, hosts: Collection[str]) -> None:
        """Hand the operation over until `hosts`, which did not answer, may be asked again; returns past patience."""
        if not hosts or self._out_of_patience():
            return
        self._start_waiting()
        names = ", ".join(sorted(hosts))
        raise HandOver(reason=f"silent: {names}", delay_s=self.cloud.silences.window_s, waiting_for=names[:255])

    def wait_for_help(self, waiting_for: str, error: errors.HostlerError) -> NoReturn:
        """Hand the operation over until somebody has helped; raises `error` past patience."""
        if self._out_of_patience():
            raise error
        self._start_waiting()
        raise HandOver(reason=str(error), delay_s=self._delay(), waiting_for=waiting_for)

    def _wait_for(self, host: str, error: errors.Silent,
                  unreachable: Callable[[int], errors.HostUnreachable]) -> BaseException:
        if isinstance(error, errors.BrokerSilent):
            self.cloud.outages.note()
            self.waiting_since = None
            return HandOver(reason=str(error), delay_s=self._delay(), host=host, waiting_for="broker")
        if self._out_of_patience():
            return unreachable(int(self.patience_s))
        self._start_waiting()
        return HandOver(reason=error.details, delay_s=self._delay(), host=host, waiting_for=host)

    def _start_waiting(self) -> None:
        self.waiting_since = self.waiting_since or self._now()

    def _now(self) -> dt.datetime:
        """Return the present moment on the database's clock."""
        return self.held.claimed_at + dt.timedelta(seconds=time.monotonic() - self._claimed_at)

    def _out_of_patience(self) -> bool:
        if self.waiting_since is None:
            return False
        return (self._now() - self.waiting_since).total_seconds() > self.patience_s

    @property
    def patience_s(self) -> float:
        """How long a silent host or node is waited for, all in all."""
        return float(self.conf.conductor.agent_patience * self.kind.patience)

    def _delay(self) -> float:
        return float(self.conf.conductor.retry_delay)

    def reading(self) -> AbstractContextManager[Any]:
        """Return a session for reads."""
        return self.db.reading()

    def write(self, work: Callable[[orm.Session], Result], *,
              beside: tuple[sa.UpdateBase, Mapping[str, Any]] | None = None) -> Result:
        """Return what `work` returns, run in a transaction that first checks that the operation is still ours.

        The only way for tasks and repairs to write. To check before the transaction is not enough: a conductor that
        is stopped in between, past its lease, would undo what its successor did once it wakes up. It costs one
        statement, on a row that the successor changes first of all. A statement with its values may go `beside` it,
        before `work`. Raises LeaseLost.
        """
        def fenced(session: orm.Session) -> Result:
            if beside is None:
                lease.check_owned(session, self.held)
            else:
                lease.check_owned_beside(session, self.held, *beside)
            return work(session)

        return self.end(fenced)

    def end(self, work: Callable[[orm.Session], Result]) -> Result:
        """As `write`, for a transaction that checks by itself: the one that ends the operation."""
        def counted(session: orm.Session) -> Result:
            self._accepted.clear()  # of a transaction that is repeated
            return work(session)

        result = self.db.write(counted)
        for operation_id in self._accepted:
            self._wake(operation_id)
        self._accepted.clear()
        return result

    def follow(self, operation_ids: Iterable[str]) -> None:
        """Have operations that the present transaction accepts run as soon as it is committed."""
        self._accepted.extend(operation_ids)

    def now(self) -> dt.datetime:
        """Return the database's time, which all nodes share."""
        return self.db.now()

    def lock_row(self, session: orm.Session, model: Any, criterion: Any) -> None:
        """Hold a row till the transaction ends (`hostler.db.engine.Database.lock_row`)."""
        self.db.lock_row(session, model, criterion)


def _node_unreachable(node: str) -> Callable[[int], errors.HostUnreachable]:
    return lambda waited_s: errors.NodeUnreachable(host=node, waited_s=waited_s)
