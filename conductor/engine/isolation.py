"""Finding the operation that kills the conductor, without blaming its neighbours.

When a process dies, every operation in it was interrupted, and only one (or none: the machine lost power) is the cause.
Counting interruptions and giving up at a limit therefore fails innocent operations in every crash loop. Instead, the
count starts over whenever an operation finishes a step; one that was interrupted `max_attempts` times in between is a
suspect and runs alone. Interrupted twice while it was alone, it is the cause and is given up.

The price: while a suspect runs, the conductor starts nothing else. So it is alone only until it finishes a step or has
lived for a while, which doubles with each interruption, for causes that act slowly.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from hostler import errors
from hostler.db.engine import Database
from hostler.operations import lease

LOG = logging.getLogger(__name__)

_LONGEST = 6  # doublings of the time alone


class Isolation:
    """The operations that run in this process, and the suspect among them that must be alone."""

    def __init__(self, db: Database, max_attempts: int, alone_s: float, stopping: Callable[[], bool]) -> None:
        self._db = db
        self._max_attempts = max_attempts
        self._alone_s = alone_s
        self._stopping = stopping
        self._changed = threading.Condition()
        self._running: set[str] = set()
        self._suspect: str | None = None

    @contextlib.contextmanager
    def admitting(self, held: lease.Claim, db: Database) -> Iterator[None]:
        """Hold an operation's place among the running ones; a suspect waits a limited time to be alone.

        `db` is the run's: an unreachable database hands the operation over.
        """
        suspect = held.crashes >= self._max_attempts
        timer: threading.Timer | None = None
        try:
            if self._enter(held.id, suspect):
                LOG.warning("operation %s %s was interrupted %s times and runs alone", held.id, held.kind, held.crashes)
                db.write(lambda session: lease.note_alone(session, held, True))
                doublings = min(held.crashes - self._max_attempts, _LONGEST)
                timer = threading.Timer(self._alone_s * 2 ** doublings, self._acquit, (held,))
                timer.daemon = True
                timer.start()
            yield
        finally:
            if timer is not None:
                timer.cancel()
            with self._changed:
                self._running.discard(held.id)
                self._changed.notify_all()
            self.release(held.id)

    def release(self, operation_id: str) -> None:
        """Let others start beside an operation, which has made progress or is over."""
        with self._changed:
            if self._suspect == operation_id:
                self._suspect = None
                self._changed.notify_all()

    def _enter(self, operation_id: str, suspect: bool) -> bool:
        """Wait while a suspect is alone; returns whether this operation is alone now."""
        with self._changed:
            while self._suspect is not None and not self._stopping():
                self._changed.wait(1.0)
            alone = False
            if suspect:
                self._suspect = operation_id
                # What runs already may take long. A suspect that is not alone is not blamed, either.
                alone = self._changed.wait_for(lambda: not self._running, self._alone_s)
                if not alone:
                    self._suspect = None
                    self._changed.notify_all()
            self._running.add(operation_id)
            return alone

    def _acquit(self, held: lease.Claim) -> None:
        """End the isolation of a suspect that has survived long enough."""
        try:
            self._db.write(lambda session: lease.note_alone(session, held, False))
        except (errors.DatabaseUnavailable, lease.LeaseLost) as error:
            LOG.warning("operation %s no longer runs alone, which could not be written: %s", held.id, error)
        self.release(held.id)
