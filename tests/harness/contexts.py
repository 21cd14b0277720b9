"""Contexts of calls that no request made."""

from __future__ import annotations

from hostler.context import RequestContext


def attempt_of(operation_id: str, attempt: int = 1) -> RequestContext:
    """Return the context in which a conductor asks an agent for a change."""
    return RequestContext(is_admin=True, operation_id=operation_id, attempt=attempt)
