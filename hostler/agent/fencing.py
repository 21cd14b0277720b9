"""Fencing: the agent refuses a call of an older attempt of an operation than it has seen.

Conductors hand operations over when one of them falls silent; its last call may arrive late, after the next
conductor's. The highest attempt per operation is kept in a journal (one short line when it rises), so that a
restarted agent still refuses. Only the newest operations are remembered: an operation that thousands have followed
has long ended.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

from hostler import errors
from hostler.agent.files import write_atomically
from hostler.context import RequestContext


class Fence:
    """Remembers the highest attempt of each operation; safe for use by many threads."""

    def __init__(self, journal: Path, keep: int = 4096) -> None:
        self._journal = journal
        self._keep = keep
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._lines = 0
        self._load()

    def admit(self, context: RequestContext) -> None:
        """Note that the context's attempt spoke; raises StaleAttempt when a later one already has."""
        operation_id, attempt = _operation_of(context), context.attempt
        with self._lock:
            seen = self._seen.get(operation_id)
            if seen is not None and attempt < seen:
                raise errors.StaleAttempt(operation=operation_id, attempt=attempt, seen=seen)
            if seen == attempt:
                return
            self._note(operation_id, attempt)
            self._lines += 1
            with self._journal.open("a") as stream:
                stream.write(f"{operation_id} {attempt}\n")
            if self._lines > 2 * self._keep:
                self._compact()

    def check(self, context: RequestContext) -> None:
        """Raise StaleAttempt when a later attempt than the context's has spoken since."""
        operation_id, attempt = _operation_of(context), context.attempt
        with self._lock:
            seen = self._seen.get(operation_id, attempt)
        if attempt < seen:
            raise errors.StaleAttempt(operation=operation_id, attempt=attempt, seen=seen)

    def _note(self, operation_id: str, attempt: int) -> None:
        self._seen[operation_id] = attempt
        self._seen.move_to_end(operation_id)
        while len(self._seen) > self._keep:
            self._seen.popitem(last=False)

    def _load(self) -> None:
        try:
            lines = self._journal.read_text().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            operation_id, _, attempt = line.partition(" ")
            if attempt.isdigit():  # a crash may have cut the last line short
                self._note(operation_id, max(int(attempt), self._seen.get(operation_id, 0)))
        # Rewritten so that a line cut short cannot merge with the next one.
        self._compact()

    def _compact(self) -> None:
        text = "".join(f"{operation_id} {attempt}\n" for operation_id, attempt in self._seen.items())
        write_atomically(self._journal, text.encode())
        self._lines = len(self._seen)


def _operation_of(context: RequestContext) -> str:
    if context.operation_id is None:
        raise errors.Invalid(reason="A change on a host must name the operation it belongs to.")
    return context.operation_id
