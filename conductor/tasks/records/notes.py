"""What tasks note for the next try."""

from __future__ import annotations

from conductor.run import Run
from hostler import errors
from hostler.operations import notes


def note_build_failure(run: Run, error: errors.HostlerError) -> None:
    """Remember why a try failed: when no other host is left, the user is told this."""
    run.write(lambda session: notes.write(session, run.held.id, notes.FAILURE, value=str(error)))
