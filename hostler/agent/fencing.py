"""Fencing: the agent refuses a call of an older attempt of an operation than it has seen.

Conductors hand operations over when one of them falls silent; its last call may arrive late, after the next
conductor's. The highest attempt per operation is kept in a journal (one short line when it rises), so that a
restarted agent still refuses. Only the last few thousand operations are remembered: older ones have long ended.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from pathlib import Path

from hostler import errors
from hostler.agent.files import append_line, write_atomically
from hostler.context import RequestContext

LOG = logging.getLogger(__name__)
_LINE = re.compile(rb"([\x21-\x7e]{1,64}) (\d{1,18})")


class Fence:
    """Remembers the highest attempt of each operation; safe for use by many threads."""

    def __init__(self, journal: Path, keep: int = 4096) -> None:
        self._journal = journal
        self._keep = keep
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._lines = 0
        self._incomplete = False  # something could not be written
        self._load()

    def admit(self, context: RequestContext) -> None:
        """Record the context's attempt; raises StaleAttempt when a later one has called before."""
        operation_id, attempt = _operation_of(context), context.attempt
        with self._lock:
            seen = self._seen.get(operation_id)
            if seen is not None and attempt < seen:
                raise errors.StaleAttempt(operation=operation_id, attempt=attempt, seen=seen)
            if seen == attempt:
                return
            self._note(operation_id, attempt)
            self._keep_on_disk(operation_id, attempt)

    def check(self, context: RequestContext) -> None:
        """Raise StaleAttempt when a later attempt than the context's has called since."""
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

    def _keep_on_disk(self, operation_id: str, attempt: int) -> None:
        """Append an attempt to the journal. A full disk must not stop work, least of all deletions: until there is
        room again, a restart forgets what could not be written."""
        try:
            if self._incomplete or self._lines > 2 * self._keep:
                self._compact()
            else:
                append_line(self._journal, f"{operation_id} {attempt}\n".encode())
                self._lines += 1
        except OSError as error:
            if not self._incomplete:
                LOG.error("Attempts cannot be written to %s: %s", self._journal, error)
            self._incomplete = True

    def _load(self) -> None:
        try:
            lines = self._journal.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        damaged = 0
        for line in lines:
            match = _LINE.fullmatch(line)
            if match is not None:
                operation_id, attempt = match[1].decode(), int(match[2])
                self._note(operation_id, max(attempt, self._seen.get(operation_id, 0)))
            elif line and line is not lines[-1]:  # a crash may have cut the last line short
                damaged += 1
        if damaged:
            aside = self._journal.with_name(f"{self._journal.name}.damaged")
            write_atomically(aside, b"\n".join(lines))
            LOG.error("%d lines of %s are damaged; the file was set aside as %s", damaged, self._journal, aside.name)
        self._compact()

    def _compact(self) -> None:
        text = "".join(f"{operation_id} {attempt}\n" for operation_id, attempt in self._seen.items())
        write_atomically(self._journal, text.encode())
        self._lines = len(self._seen)
        self._incomplete = False


def _operation_of(context: RequestContext) -> str:
    if context.operation_id is None:
        raise errors.Invalid(reason="A change on a host must name the operation it belongs to.")
    return context.operation_id
