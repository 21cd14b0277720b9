"""The frame of every change: fenced, one at a time for each volume, its progress reported, its errors readable.

    with workbench.work_on(volume_id, context) as work:
        work.progress(40)            # per cent; raises when a later attempt has spoken
        with work.copying():         # one of the few copies this node makes at a time
            ...

Reconciliation works in the same frame with no call: nothing fences it, and nobody waits for its progress.

A copy may take hours; an agent that is to stop does not wait for it. It raises Silent then, which to the conductors is
a silent agent: they ask again when it is back.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from hostler import errors
from hostler.agent.fencing import Fence
from hostler.agent.locks import ResourceLocks
from hostler.agent.progress import Audience, ProgressReports
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
_QUEUE_LOOK_S = 0.5


class Work:
    """What is being done to one volume or backup."""

    def __init__(self, resource_id: str, context: RequestContext | None, bench: Workbench) -> None:
        self.resource_id = resource_id
        self._context = context
        self._bench = bench
        self._reports = ProgressReports(bench.audience, context)

    def check(self) -> None:
        """Raise StaleAttempt when a later attempt of the operation has spoken, Silent when the agent stops."""
        if self._bench.gave_up:
            raise errors.Silent("The volume service stops.", part="The volume service")
        if self._context is not None:
            self._bench.fence.check(self._context)

    def pass_step(self, step: str) -> None:
        """Say that a step of the agent's own begins or is done; tests order faults for it. Raises as `check`."""
        self._bench.checkpoint(f"agent.{step}", self.resource_id)
        self.check()

    def progress(self, percent: int) -> None:
        """Tell the conductors, once a second at most. Raises as `check`."""
        self.check()
        self._reports.tell(percent)

    def part(self, start: int, end: int) -> Callable[[int], None]:
        """Return a `progress` for a part of the work: its 0 to 100 are `start` to `end` of the whole."""
        return lambda percent: self.progress(start + percent * (end - start) // 100)

    @contextlib.contextmanager
    def copying(self) -> Iterator[None]:
        """Wait for one of the node's copies and hold it. Raises as `check`, also while it waits."""
        while not self._bench.copies.acquire(timeout=_QUEUE_LOOK_S):
            self.check()
        try:
            self.check()
            yield
        finally:
            self._bench.copies.release()


class Workbench:
    """Fence, locks and copies of one agent."""

    def __init__(self, fence: Fence, locks: ResourceLocks, audience: Audience, *, max_copies: int,
                 checkpoint: Callable[[str, str], None] = lambda _step, _id: None) -> None:
        self.fence = fence
        self.audience = audience
        self.copies = threading.BoundedSemaphore(max_copies)
        self.checkpoint = checkpoint
        self.locks = locks
        self.gave_up = False

    def give_up(self) -> None:
        """Have all work end at its next check."""
        self.gave_up = True

    @contextlib.contextmanager
    def work_on(self, resource_id: str, context: RequestContext | None) -> Iterator[Work]:
        """Work on a volume (its snapshots, too) or a backup, one call at a time, for the context's operation.

        None is the agent's own reconciliation. Raises StaleAttempt, AgentError, Silent.
        """
        if context is not None:
            self.fence.admit(context)
        with self.locks.hold(resource_id):
            work = Work(resource_id, context, self)
            work.check()  # a later attempt may have spoken while this one waited for the lock
            try:
                yield work
            except OSError as error:
                LOG.exception("Work on %s failed", resource_id)
                reason = f"An error on the storage node: {error.strerror or type(error).__name__}."
                raise errors.AgentError(reason=reason) from error
