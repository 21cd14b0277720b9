"""The frame of every change to a server: fenced, one at a time, its own events suppressed, its errors readable.

    with workbench.work_on(server_id, context) as work:
        ...
        work.check()                 # between steps: has a later attempt spoken?
        work.ended_in(virt.RUNNING)  # the reply says so; the hypervisor's event need not say it again
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from compute.events import EventRelay
from hostler import errors
from hostler.agent.fencing import Fence
from hostler.agent.locks import ResourceLocks
from hostler.agent.programs import Progress
from hostler.agent.progress import Audience, ProgressReports
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)


class Work:
    """What is being done to one server."""

    def __init__(self, server_id: str, fence: Fence, context: RequestContext | None, audience: Audience) -> None:
        self.server_id = server_id
        self.end_state: str | None = None
        self.awaits_guest = False
        self._fence = fence
        self._context = context
        self._reports = ProgressReports(audience, context)

    def check(self) -> None:
        """Raise StaleAttempt when a later attempt of the operation has spoken."""
        if self._context is not None:
            self._fence.check(self._context)

    def progress(self, percent: int) -> None:
        """Tell the conductors how far the work is; raises as `check`."""
        self.check()
        self._reports.tell(percent)

    def part(self, start: int, end: int) -> Progress:
        """Return a `progress` for a part of the work: its 0 to 100 are `start` to `end` of the whole."""
        return lambda percent: self.progress(start + percent * (end - start) // 100)

    def ended_in(self, power_state: str) -> None:
        """Say in which power state the work leaves the server."""
        self.end_state = power_state

    def await_guest(self) -> None:
        """Say that the guest is to come: what happens to it until then, the next work on it says."""
        self.awaits_guest = True


class Gate(Protocol):
    """Which guests may start (`compute.self_fence.SelfFence`)."""

    def starting(self, server_id: str) -> AbstractContextManager[None]:
        """Hold the gate while a guest is started; raises Silent while it may not be."""

    def switched_off(self, server_id: str) -> bool:
        """Return whether a guest that is off may be so for the fence's sake alone."""


class Workbench:
    """Fences, locks, event relay of one agent, and whom it tells its progress."""

    def __init__(self, fence: Fence, locks: ResourceLocks, relay: EventRelay, audience: Audience,
                 gate: Gate) -> None:
        self._fence = fence
        self.starting, self.switched_off = gate.starting, gate.switched_off
        self._relay = relay
        self._audience = audience
        self.locks = locks

    def admit(self, context: RequestContext) -> None:
        """Note a call that needs no lock; raises StaleAttempt."""
        self._fence.admit(context)

    def next_number(self) -> int:
        """Return the number of a report that is about to be made."""
        return self._relay.next_number()

    @contextlib.contextmanager
    def work_on(self, server_id: str, context: RequestContext | None) -> Iterator[Work]:
        """Work on a server alone, for the context's operation; None is the agent's own reconciliation.

        Raises StaleAttempt, AgentError.
        """
        if context is not None:
            self._fence.admit(context)
        with self.locks.hold(server_id):
            work = Work(server_id, self._fence, context, self._audience)
            work.check()  # a later attempt may have spoken while this one waited for the lock
            self._relay.hold(server_id)
            try:
                yield work
            except OSError as error:
                LOG.exception("Work on server %s failed", server_id)
                reason = f"An error on the host: {error.strerror or type(error).__name__}."
                raise errors.AgentError(reason=reason) from error
            finally:
                self._relay.release(server_id, work.end_state, awaited=work.awaits_guest)
